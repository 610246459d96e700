// /metrics, /healthz (the process lives) and /readyz (it knows the objects and takes agents).
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

export interface HealthOptions {
  readonly registry: Registry;
  readonly bindAddress: string;
  readonly port: number;
  /** What is still missing, or undefined when ready. */
  readonly notReady: () => string | undefined;
}

export class HealthServer {
  readonly #options: HealthOptions;
  readonly #http: http.Server;

  constructor(options: HealthOptions) {
    this.#options = options;
    this.#http = http.createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) => {
      this.#answer(request.url ?? '', response).catch(() => response.writeHead(500).end());
    });
    this.#http.maxConnections = 64;
  }

  async listen(): Promise<AddressInfo> {
    this.#http.listen(this.#options.port, this.#options.bindAddress);
    await once(this.#http, 'listening');
    const address = this.#http.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no address');
    return address;
  }

  async close(): Promise<void> {
    this.#http.close();
    this.#http.closeAllConnections();
    await once(this.#http, 'close');
  }

  async #answer(url: string, response: http.ServerResponse): Promise<void> {
    const { registry, notReady } = this.#options;
    switch (url.split('?')[0]) {
      case '/metrics':
        response.writeHead(200, { 'content-type': registry.contentType }).end(await registry.metrics());
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
}
