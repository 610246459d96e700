// A faulty API server: a proxy that answers some requests itself or delays them.
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { type ClusterAccess, loadClusterAccess, plainAccess } from '../../../operator/kubernetes/cluster-access.ts';
import { systemClock } from '../../../runtime/clock.ts';

export interface Seen {
  readonly method: string;
  readonly path: string;
}

export type Fault =
  | {
      readonly kind: 'Answer';
      readonly code: number;
      readonly reason: string;
      readonly headers?: http.OutgoingHttpHeaders;
    }
  /** Passes once `until` is resolved. */
  | { readonly kind: 'Hold'; readonly until: Promise<void> };

export class FaultyApi {
  readonly access: ClusterAccess;
  /** Called for each request. */
  fault: (seen: Seen) => Fault | undefined = () => undefined;
  readonly #upstream: ClusterAccess;
  readonly #server: http.Server;

  private constructor(upstream: ClusterAccess, server: http.Server) {
    this.#upstream = upstream;
    this.#server = server;
    server.on('request', (request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
    this.access = plainAccess(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  }

  static async open(kubeconfigPath: string): Promise<FaultyApi> {
    const server = http.createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FaultyApi(loadClusterAccess(kubeconfigPath, systemClock), server);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { method = 'GET', url: path = '/', headers } = request;
    const body = await buffer(request);
    const fault = this.fault({ method, path });
    if (fault?.kind === 'Answer') {
      const { code, reason } = fault;
      response.writeHead(code, { 'content-type': 'application/json', ...fault.headers });
      response.end(JSON.stringify({ kind: 'Status', code, reason, message: reason }));
      return;
    }
    await fault?.until;
    const credentials = await this.#upstream.credentials(false);
    const pool = path.includes('watch=true') ? credentials.watches : credentials.requests;
    const { host, connection, 'content-length': _, ...passed } = headers;
    const given = new AbortController();
    response.on('close', () => given.abort());
    try {
      const {
        statusCode,
        headers: answered,
        body: answer,
      } = await pool.request({
        origin: this.#upstream.server.origin,
        method,
        path,
        headers: { ...passed, ...credentials.headers },
        body,
        signal: given.signal,
      });
      response.writeHead(statusCode, answered).flushHeaders();
      await pipeline(answer, response);
    } catch {
      response.destroy();
    }
  }
}
