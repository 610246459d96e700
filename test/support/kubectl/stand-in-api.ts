// An API server whose answers and WebSockets a test decides, and a kubeconfig for it.
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type WebSocket, WebSocketServer } from 'ws';

export interface StandInRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: http.IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export interface StandInAnswer {
  readonly code?: number;
  readonly body: string | object;
}

/** What becomes of a request for a WebSocket: an answer, or who serves it. */
export type StandInUpgrade = StandInAnswer | ((socket: WebSocket) => void);

export class StandInApi implements AsyncDisposable {
  readonly requests: StandInRequest[] = [];
  readonly kubeconfig: string;
  upgrade: (query: URLSearchParams) => StandInUpgrade = () => ({ body: '404 page not found\n', code: 404 });
  readonly #folder: string;
  readonly #server: http.Server;

  private constructor(folder: string, server: http.Server) {
    this.#folder = folder;
    this.#server = server;
    this.kubeconfig = join(folder, 'kubeconfig');
  }

  /** @param answer undefined: not found, as the API server says it of an unknown group */
  static async start(answer: (request: StandInRequest) => StandInAnswer | undefined): Promise<StandInApi> {
    const server = http.createServer();
    const api = new StandInApi(await mkdtemp(join(tmpdir(), 'stand-in-api-')), server);
    server.on('request', async (request, response) => {
      const { pathname: path, searchParams: query } = new URL(request.url ?? '', 'http://x');
      const { headers, method = '', rawHeaders } = request;
      const received = { method, path, query, headers, rawHeaders, body: await text(request) };
      api.requests.push(received);
      const { body, code = 200 } = answer(received) ?? { body: '404 page not found\n', code: 404 };
      response.writeHead(code).end(typeof body === 'string' ? body : JSON.stringify(body));
    });
    const webSockets = new WebSocketServer({ noServer: true });
    server.on('upgrade', (request, socket, head) => {
      const served = api.upgrade(new URL(request.url ?? '', 'http://x').searchParams);
      if (typeof served === 'function') return webSockets.handleUpgrade(request, socket, head, served);
      const body = typeof served.body === 'string' ? served.body : JSON.stringify(served.body);
      const length = `Content-Length: ${Buffer.byteLength(body)}`;
      socket.end(`HTTP/1.1 ${served.code ?? 200} X\r\n${length}\r\n\r\n${body}`);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const config = {
      clusters: [
        { name: 'c', cluster: { server: address, 'insecure-skip-tls-verify': true } },
        { name: 'nowhere', cluster: { server: 'http://127.0.0.1:1', 'insecure-skip-tls-verify': true } },
      ],
      users: [
        { name: 'u', user: { token: 'token-of-u' } },
        { name: 'other', user: { token: 'token-of-other' } },
      ],
      contexts: [
        { name: 'x', context: { cluster: 'c', user: 'u', namespace: 'ns' } },
        { name: 'y', context: { cluster: 'nowhere', user: 'u' } },
      ],
      'current-context': 'x',
    };
    await writeFile(api.kubeconfig, JSON.stringify(config));
    return api;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await rm(this.#folder, { recursive: true });
  }
}
