// /metrics, /healthz (the process lives) and /readyz (the process knows the objects and accepts agents). Anybody may
// ask, and nobody is distinguished: each connection gets one answer and a few seconds, and strangers who fill the
// server displace only their own connections (runtime/connections/arrivals.ts). Otherwise the kubelet's probe could
// fail and end the operator.
import type http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../../runtime/clock.ts';
import { GuardedServer } from '../../runtime/connections/guarded-server.ts';
import { type MetricsText, RecentText } from '../../runtime/metrics/recent-text.ts';

export interface HealthOptions {
  readonly clock: Clock;
  readonly bindAddress: string | undefined;
  readonly port: number;
  /** Undefined: metrics have a port of their own. */
  readonly metrics: (() => Promise<MetricsText>) | undefined;
  /** What is still missing; undefined when ready. */
  readonly notReady: () => string | undefined;
}

const bounds = {
  headerBytes: 16 * 1024,
  arrivals: { silent: 128, waiting: 128, speaking: 128, milliseconds: 10_000 },
} as const;

export class HealthServer {
  readonly #options: HealthOptions;
  readonly #server: GuardedServer;
  readonly #metrics: RecentText | undefined;

  constructor(options: HealthOptions) {
    this.#options = options;
    this.#metrics = options.metrics && new RecentText(options.metrics, options.clock);
    this.#server = new GuardedServer({
      ...options,
      tls: false,
      headerBytes: bounds.headerBytes,
      arrivals: bounds.arrivals,
      answer: (request, response) => {
        response.setHeader('connection', 'close');
        this.#answer(request.url ?? '', response).catch(() => response.writeHead(500).end());
      },
    });
  }

  listen(): Promise<AddressInfo> {
    return this.#server.listen();
  }

  async close(): Promise<void> {
    const closed = this.#server.close();
    this.#server.disconnect();
    await closed;
  }

  async #answer(url: string, response: http.ServerResponse): Promise<void> {
    const { notReady } = this.#options;
    const path = url.split('?')[0];
    if (path === '/metrics' && this.#metrics !== undefined) {
      const { contentType, text } = await this.#metrics.read();
      response.writeHead(200, { 'content-type': contentType }).end(text);
      return;
    }
    switch (path) {
      case '/healthz':
        response.writeHead(200).end('ok');
        return;
      case '/readyz': {
        const missing = notReady();
        response.writeHead(missing === undefined ? 200 : 503).end(missing ?? 'ok');
        return;
      }
      default:
        response.writeHead(404).end();
    }
  }
}
