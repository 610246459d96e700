// The API server as one replica of the operator reaches it, with a record of what the replica wrote there and when.
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KubectlTarget } from '../controlplane/kubectl.ts';
import { ApiProxy } from '../controlplane/proxy.ts';

export interface AuditedWrite {
  readonly method: string;
  readonly path: string;
  readonly code: number;
  /** When it arrived. */
  readonly at: number;
}

export class AuditedAccess implements AsyncDisposable {
  readonly kubeconfigPath: string;
  readonly writes: AuditedWrite[] = [];
  readonly #proxy: ApiProxy;
  readonly #server: http.Server;

  private constructor(proxy: ApiProxy, kubeconfigPath: string) {
    this.#proxy = proxy;
    this.kubeconfigPath = kubeconfigPath;
    this.#server = http.createServer((request, response) => this.#forward(request, response));
  }

  static async open(cluster: KubectlTarget, kubeconfigPath: string): Promise<AuditedAccess> {
    const access = new AuditedAccess(await ApiProxy.open(cluster), kubeconfigPath);
    access.#server.listen(0, '127.0.0.1');
    await once(access.#server, 'listening');
    const server = `http://127.0.0.1:${(access.#server.address() as AddressInfo).port}`;
    const config = {
      clusters: [{ name: 'audited', cluster: { server } }],
      users: [{ name: 'audited', user: {} }],
      contexts: [{ name: 'audited', context: { cluster: 'audited', user: 'audited' } }],
      'current-context': 'audited',
    };
    await writeFile(kubeconfigPath, JSON.stringify(config));
    return access;
  }

  /** Writes that the API server took of what is ours or tells about it. */
  writesBetween(from: number, to: number): readonly AuditedWrite[] {
    return this.writes.filter(
      ({ at, code, path }) => at >= from && at < to && code < 300 && /\/apis\/(lcow\.dev|events\.k8s\.io)\//.test(path),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await this.#proxy[Symbol.asyncDispose]();
  }

  #forward(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { method = 'GET', url: path = '/', headers } = request;
    const at = Date.now();
    const upstream = http.request(new URL(path, this.#proxy.url), { method, headers }, (answer) => {
      const code = answer.statusCode ?? 502;
      if (method !== 'GET') this.writes.push({ method, path, code, at });
      response.writeHead(code, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  }
}
