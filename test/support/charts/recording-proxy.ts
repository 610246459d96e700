// The API server as one ServiceAccount reaches it, with a record of the rights that were used and of those that were
// missing.
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';

export interface ProxySettings {
  readonly server: string;
  readonly authority: Buffer;
  readonly token: string;
  /** Written here, for a program that uses the proxy. */
  readonly kubeconfigPath: string;
}

export class RecordingProxy implements AsyncDisposable {
  readonly url: string;
  /** `get lcow.dev/linuxutilityvms`, as in a rule of a role. */
  readonly used = new Set<string>();
  readonly refused: string[] = [];
  readonly #server: http.Server;

  private constructor(server: http.Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async open(settings: ProxySettings): Promise<RecordingProxy> {
    const server = http.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new RecordingProxy(server);
    const agent = new https.Agent({ ca: settings.authority, keepAlive: true });
    server.on('request', (request, response) => proxy.#forward(settings, agent, request, response));
    await writeFile(settings.kubeconfigPath, kubeconfig(proxy.url));
    return proxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #forward(
    { server, token }: ProxySettings,
    agent: https.Agent,
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ): void {
    const { method = 'GET', url: path = '/' } = request;
    const { host: _, ...headers } = request.headers;
    const options = { method, agent, headers: { ...headers, authorization: `Bearer ${token}` } };
    const upstream = https.request(new URL(path, server), options, (answer) => {
      this.#record(rightOf(method, path), answer.statusCode ?? 0);
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  }

  #record(right: string, code: number): void {
    if (code === 403) this.refused.push(right);
    else this.used.add(right);
  }
}

function kubeconfig(server: string): string {
  return JSON.stringify({
    clusters: [{ name: 'proxy', cluster: { server } }],
    users: [{ name: 'proxy', user: {} }],
    contexts: [{ name: 'proxy', context: { cluster: 'proxy', user: 'proxy' } }],
    'current-context': 'proxy',
  });
}

const verbs: Readonly<Record<string, string>> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** The right that RBAC checks for a request: `update lcow.dev/linuxutilityvms/status`. The core group has no name. */
export function rightOf(method: string, path: string): string {
  const { pathname, searchParams } = new URL(path, 'http://api');
  const [, root, ...rest] = pathname.split('/');
  if (root !== 'api' && root !== 'apis') return `${method.toLowerCase()} ${pathname}`;
  const group = root === 'apis' ? `${rest[0]}/` : '';
  const segments = rest.slice(root === 'apis' ? 2 : 1);
  // `namespaces/x/configmaps/y` is about configmaps, `namespaces/x` about namespaces.
  const [resource, name, subresource] =
    segments[0] === 'namespaces' && segments.length > 2 ? segments.slice(2) : segments;
  const reading = name === undefined ? 'list' : 'get';
  const verb = method === 'GET' ? (searchParams.has('watch') ? 'watch' : reading) : verbs[method];
  return `${verb} ${group}${resource}${subresource === undefined ? '' : `/${subresource}`}`;
}
