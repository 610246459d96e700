// The probes of the agent, on a loopback port: `/healthz` while it runs, `/readyz` once it knows what its node has. Exec
// probes are not used: they leak memory in the compute service.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HealthServer {
  readonly port: number;
  close(): void;
}

/** @param port 0 takes any */
export function serveHealth(port: number, isReady: () => boolean): Promise<HealthServer> {
  const answers: Readonly<Record<string, () => boolean>> = { '/healthz': () => true, '/readyz': isReady };
  const server = createServer((request, response) => {
    const answer = answers[request.url ?? ''];
    if (answer === undefined) response.writeHead(404).end();
    else if (answer()) response.writeHead(200).end('ok\n');
    else response.writeHead(503).end('HCS has not been enumerated yet\n');
  });
  server.requestTimeout = 5_000;
  server.maxConnections = 16;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address: AddressInfo | string | null = server.address();
      const bound = typeof address === 'object' && address !== null ? address.port : port;
      resolve({
        port: bound,
        close: () => {
          server.close();
          server.closeAllConnections();
        },
      });
    });
  });
}
