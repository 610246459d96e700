// The address of the API server and our credentials, from a kubeconfig or from the pod that we run in. Of client-node
// only the configuration and authentication are used: its requests open a connection each (2.0.1), and its informer
// gives up.
import { createHash } from 'node:crypto';
import type https from 'node:https';
import { HttpMethod, KubeConfig, RequestContext } from '@kubernetes/client-node';
import { Pool } from 'undici';
import type { Clock } from '../../runtime/clock.ts';
import type { ApiTransport } from './transport.ts';
import { type Pools, UndiciTransport } from './undici-transport.ts';

export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly transport: ApiTransport;
}

export interface ClusterAccess {
  readonly server: URL;
  /** `fresh` reads tokens and certificates again, after the API server refused the current ones. */
  credentials(fresh: boolean): Promise<Credentials>;
}

const poolSizes = { requests: 16, watches: 16 } as const;
const credentialsLifetimeMilliseconds = 60_000;
/** Less than the 90 s after which an API server closes an idle connection, so that no request meets its end. */
const idleConnectionMilliseconds = 60_000;

export function loadClusterAccess(kubeconfig: string | undefined, clock: Clock): ClusterAccess {
  const config = new KubeConfig();
  if (kubeconfig === undefined) config.loadFromDefault();
  else config.loadFromFile(kubeconfig);
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error('the kubeconfig has no current cluster');
  const server = new URL(cluster.server);
  if (server.protocol === 'http:') return plainAccess(server);
  return new KubeConfigAccess(config, server, cluster.proxyUrl !== undefined && cluster.proxyUrl !== '', clock);
}

/** An API server without authentication, such as `kubectl proxy`. */
export function plainAccess(server: URL): ClusterAccess {
  const transport = new UndiciTransport(server.origin, poolsTo(server, {}));
  return { server, credentials: () => Promise.resolve({ headers: {}, transport }) };
}

class KubeConfigAccess implements ClusterAccess {
  readonly server: URL;
  readonly #config: KubeConfig;
  readonly #proxied: boolean;
  readonly #clock: Clock;
  #cached: { readonly at: number; readonly identity: string; readonly value: Credentials } | undefined;

  constructor(config: KubeConfig, server: URL, proxied: boolean, clock: Clock) {
    this.server = server;
    this.#config = config;
    this.#proxied = proxied;
    this.#clock = clock;
  }

  async credentials(fresh: boolean): Promise<Credentials> {
    const cached = this.#cached;
    const age = cached === undefined ? Number.POSITIVE_INFINITY : this.#clock.now() - cached.at;
    if (cached !== undefined && !fresh && age >= 0 && age < credentialsLifetimeMilliseconds) return cached.value;
    const options: https.RequestOptions = {};
    await this.#config.applyToHTTPSOptions(options);
    const identity = identityOf(options);
    const transport =
      cached?.identity === identity
        ? cached.value.transport
        : new UndiciTransport(this.server.origin, await this.#pools(options));
    const value = { headers: headersOf(options), transport };
    this.#cached = { at: this.#clock.now(), identity, value };
    return value;
  }

  async #pools(options: https.RequestOptions): Promise<Pools> {
    if (this.#proxied) return this.#proxies();
    const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = options;
    return poolsTo(this.server, defined({ ca, cert, key, pfx, passphrase, rejectUnauthorized, servername }));
  }

  /** As many connections as there are simultaneous requests: client-node does not bound connections through a proxy. */
  async #proxies(): Promise<Pools> {
    const context = new RequestContext(this.server.href, HttpMethod.GET);
    await this.#config.applySecurityAuthentication(context);
    const proxy = context.getDispatcher();
    if (proxy === undefined) throw new Error('the kubeconfig names a proxy that cannot be used');
    return { requests: proxy, watches: proxy };
  }
}

function poolsTo(server: URL, tls: object): Pools {
  const pool = (connections: number) =>
    new Pool(server.origin, {
      connections,
      // Not HTTP/2: all watches and writes would share one connection and fail together.
      allowH2: false,
      connect: { ...tls, keepAlive: true, keepAliveInitialDelay: 30_000 },
      keepAliveTimeout: idleConnectionMilliseconds,
    });
  return { requests: pool(poolSizes.requests), watches: pool(poolSizes.watches) };
}

/**
 * Connections are kept as long as the options that opened them stay the same. A rotated CA or certificate opens new
 * ones.
 */
function identityOf(options: https.RequestOptions): string {
  const hash = createHash('sha256');
  for (const part of [options.ca, options.cert, options.key]) hash.update(String(part)).update('\0');
  return hash.digest('hex');
}

function headersOf(options: https.RequestOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  if (typeof options.auth === 'string') {
    headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  }
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    if (value !== undefined) headers[name] = String(value);
  }
  return headers;
}

function defined(options: { readonly [name: string]: unknown }): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
