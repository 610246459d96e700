// /metrics, /healthz (the process lives) and /readyz (the process knows the objects and accepts agents). Anybody may
// ask, and nobody is distinguished: each connection gets one answer and a few seconds, and strangers who fill the
// server displace only their own connections (runtime/connections/arrivals.ts). Otherwise the kubelet's probe could fail and
// end the operator.
import type http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import type { Clock } from '../../runtime/clock.ts';
import { GuardedServer } from '../../runtime/connections/guarded-server.ts';

export interface HealthOptions {
  readonly clock: Clock;
  readonly registry: Registry;
  readonly bindAddress: string;
  readonly port: number;
  /** False: metrics have a port of their own, with TLS. */
  readonly servesMetrics: boolean;
  /** What is still missing; undefined when ready. */
  readonly notReady: () => string | undefined;
}

const bounds = {
  headerBytes: 16 * 1024,
  arrivals: { silent: 128, waiting: 128, speaking: 128, milliseconds: 10_000 },
  /** Writing all metrics takes many milliseconds: requests within this time share one text. */
  metricsMilliseconds: 1_000,
} as const;

export class HealthServer {
  readonly #options: HealthOptions;
  readonly #server: GuardedServer;
  #metrics: Promise<string> | undefined;

  constructor(options: HealthOptions) {
    this.#options = options;
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
    const { registry, notReady, servesMetrics } = this.#options;
    switch (url.split('?')[0]) {
      case servesMetrics ? '/metrics' : undefined:
        response.writeHead(200, { 'content-type': registry.contentType }).end(await this.#metricsText());
        return;
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

  #metricsText(): Promise<string> {
    if (this.#metrics === undefined) {
      this.#metrics = this.#options.registry.metrics();
      this.#options.clock.after(bounds.metricsMilliseconds, () => {
        this.#metrics = undefined;
      });
    }
    return this.#metrics;
  }
}
