// Where the API server is and who we are to it, from a kubeconfig or from the pod that we run in. Of client-node only the
// configuration and its authentication are used: its requests open a connection each (2.0.1) and its informer gives up.
import { createHash } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import type { Clock } from '../../protocol/clock.ts';

export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  /** Pools for requests and for watches, so that watches cannot use up the connections of requests. */
  readonly requests: http.Agent;
  readonly watches: http.Agent;
}

export interface ClusterAccess {
  readonly server: URL;
  /** `fresh` reads tokens and certificates again, after the API server refused the ones in use. */
  credentials(fresh: boolean): Promise<Credentials>;
}

const poolSizes = { requests: 16, watches: 16 } as const;
const credentialsLifetimeMilliseconds = 60_000;

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

/** An API server without authentication, as `kubectl proxy` offers it. */
export function plainAccess(server: URL): ClusterAccess {
  const pools = poolsOf((maxSockets) => ofOneServer(new http.Agent({ keepAlive: true, maxSockets })));
  return { server, credentials: () => Promise.resolve({ headers: {}, ...pools }) };
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
    const pools = cached !== undefined && cached.identity === identity ? cached.value : this.#pools(options);
    const value = { headers: headersOf(options), requests: pools.requests, watches: pools.watches };
    this.#cached = { at: this.#clock.now(), identity, value };
    return value;
  }

  #pools(options: https.RequestOptions): Pick<Credentials, 'requests' | 'watches'> {
    if (this.#proxied && options.agent instanceof http.Agent) {
      return { requests: options.agent, watches: options.agent };
    }
    const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = options;
    const tls = defined({ ca, cert, key, pfx, passphrase, rejectUnauthorized, servername });
    return poolsOf((maxSockets) => ofOneServer(new https.Agent({ ...tls, keepAlive: true, maxSockets })));
  }
}

/** An agent tells servers apart by a text of all certificates, made anew for each request. Ours reaches one. */
function ofOneServer<T extends http.Agent>(agent: T): T {
  agent.getName = () => 'API server';
  return agent;
}

function poolsOf(create: (maxSockets: number) => http.Agent): Pick<Credentials, 'requests' | 'watches'> {
  return { requests: create(poolSizes.requests), watches: create(poolSizes.watches) };
}

/** Connections are kept as long as what they were opened with stays the same; a rotated CA or certificate opens new ones. */
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

function defined(options: https.AgentOptions | { [name: string]: unknown }): https.AgentOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
