// The agent's HTTP endpoints on a loopback port: the probes `/healthz` (the agent runs) and `/readyz` (the agent knows
// the VMs of its node), and `/metrics`. Exec probes are not used: they leak memory in the compute service.
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { messageOf } from '../../runtime/error-text.ts';
import type { MetricsText } from '../../runtime/metrics/recent-text.ts';
import { fixedTimes } from '../bounds/timeouts.ts';

export interface HealthServer {
  readonly port: number;
  close(): void;
}

export interface HealthAnswers {
  isReady(): boolean;
  metrics(): Promise<MetricsText>;
}

type Answer = (response: ServerResponse) => void | Promise<void>;

/** @param port 0 chooses a free port */
export function serveHealth(port: number, { isReady, metrics }: HealthAnswers): Promise<HealthServer> {
  const answers: Readonly<Record<string, Answer>> = {
    '/healthz': (response) => answer(response, 200, 'ok\n'),
    '/readyz': (response) =>
      isReady() ? answer(response, 200, 'ok\n') : answer(response, 503, 'HCS has not been enumerated yet\n'),
    '/metrics': async (response) => {
      const { contentType, text } = await metrics();
      answer(response, 200, text, contentType);
    },
  };
  const server = createServer(async (request, response) => {
    try {
      const found = answers[request.url ?? ''];
      if (found === undefined) answer(response, 404, '');
      else await found(response);
    } catch (error) {
      answer(response, 500, `${messageOf(error)}\n`);
    }
  });
  server.requestTimeout = fixedTimes.metrics.request;
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

function answer(response: ServerResponse, status: number, text: string, contentType = 'text/plain'): void {
  response.writeHead(status, { 'content-type': contentType }).end(text);
}
