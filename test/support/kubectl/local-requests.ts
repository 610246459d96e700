// HTTP requests of a local program to a forwarded port.
import http from 'node:http';
import { text } from 'node:stream/consumers';

/** The body of the answer. */
export function answerOf(url: string, agent?: http.Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    http.get(url, { agent: agent ?? false }, (response) => resolve(text(response))).on('error', reject);
  });
}

/** Makes requests over a number of connections, which are kept. Returns the bodies of the answers. */
export async function requestsOver(
  port: number,
  { connections, requests }: { readonly connections: number; readonly requests: number },
): Promise<readonly string[]> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  try {
    const all = Array.from({ length: requests }, () => answerOf(`http://127.0.0.1:${port}/x`, agent));
    return await Promise.all(all);
  } finally {
    agent.destroy();
  }
}
