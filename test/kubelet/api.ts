// The API server as a kubelet uses it; a refusal is an exception here, since whoever asked tries the whole step again.
import { z } from 'zod';
import type { ApiError } from '../../operator/kubernetes/api-error.ts';
import { loadClusterAccess } from '../../operator/kubernetes/cluster-access.ts';
import { KubeHttp, type KubeRequest } from '../../operator/kubernetes/http.ts';
import type { Stored } from '../../operator/kubernetes/objects.ts';
import { Reflector } from '../../operator/kubernetes/reflector.ts';
import { systemClock } from '../../protocol/clock.ts';

export class Refusal extends Error {
  readonly code: number;

  constructor({ code, message }: ApiError) {
    super(message);
    this.code = code;
  }
}

const data = z.object({ data: z.record(z.string(), z.string()).default({}) });
const issued = z.object({ status: z.object({ token: z.string(), expirationTimestamp: z.string() }) });

export interface TokenFor {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly audience: string | undefined;
  readonly expirationSeconds: number;
  /** The token is void once it is gone. */
  readonly pod: { readonly name: string; readonly uid: string };
}

export class Api {
  readonly #http: KubeHttp;

  constructor(kubeconfigPath: string) {
    const access = loadClusterAccess(kubeconfigPath, systemClock);
    const name = { version: '0', replica: 'process-kubelet' };
    this.#http = new KubeHttp({ access, clock: systemClock, random: Math.random, ...name });
  }

  async send(method: KubeRequest['method'], path: string, body?: object): Promise<unknown> {
    const merge = method === 'PATCH' ? { contentType: 'application/merge-patch+json' as const } : {};
    const outcome = await this.#http.request({ method, path, ...merge, ...(body === undefined ? {} : { body }) });
    if (!outcome.ok) throw new Refusal(outcome.error);
    return outcome.value;
  }

  /** As `send`; `undefined` when there is no such object (any more). */
  async find(method: KubeRequest['method'], path: string, body?: object): Promise<unknown> {
    try {
      return await this.send(method, path, body);
    } catch (error) {
      if (error instanceof Refusal && error.code === 404) return undefined;
      throw error;
    }
  }

  reflector<T extends Stored>(path: string, parse: (raw: unknown) => T | undefined): Reflector<T> {
    const observer = {
      failed: () => {},
      listed: () => {},
      unexpected: (where: string, what: string, error: unknown) => {
        process.stderr.write(`process kubelet: ${what} at ${where}: ${String(error)}\n`);
      },
    };
    return new Reflector({ http: this.#http, path, clock: systemClock, random: Math.random, observer, parse });
  }

  async configMap(namespace: string, name: string): Promise<ReadonlyMap<string, Buffer> | undefined> {
    const found = await this.find('GET', `/api/v1/namespaces/${namespace}/configmaps/${name}`);
    return found === undefined ? undefined : decoded(found, 'utf8');
  }

  async secret(namespace: string, name: string): Promise<ReadonlyMap<string, Buffer> | undefined> {
    const found = await this.find('GET', `/api/v1/namespaces/${namespace}/secrets/${name}`);
    return found === undefined ? undefined : decoded(found, 'base64');
  }

  async token({ namespace, serviceAccount, audience, expirationSeconds, pod }: TokenFor) {
    const spec = {
      ...(audience === undefined ? {} : { audiences: [audience] }),
      expirationSeconds,
      boundObjectRef: { apiVersion: 'v1', kind: 'Pod', ...pod },
    };
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`;
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
    return issued.parse(await this.send('POST', path, body)).status;
  }
}

function decoded(object: unknown, encoding: 'utf8' | 'base64'): ReadonlyMap<string, Buffer> {
  return new Map(Object.entries(data.parse(object).data).map(([key, text]) => [key, Buffer.from(text, encoding)]));
}
