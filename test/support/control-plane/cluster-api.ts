// The API server as a program uses it, for requests that are too frequent to start a kubectl each time. A refusal is an
// exception here: the caller retries the whole step, or fails.
import type { ApiError } from '../../../operator/kubernetes/api-error.ts';
import { loadClusterAccess } from '../../../operator/kubernetes/cluster-access.ts';
import { KubeHttp, type KubeRequest } from '../../../operator/kubernetes/http.ts';
import { systemClock } from '../../../runtime/clock.ts';

export class Refusal extends Error {
  readonly code: number;

  constructor({ code, message }: ApiError) {
    super(message);
    this.code = code;
  }
}

export class ClusterApi {
  protected readonly http: KubeHttp;

  /** @param client the name in the API server's audit log */
  constructor(kubeconfigPath: string, client: string) {
    const access = loadClusterAccess(kubeconfigPath, systemClock);
    this.http = new KubeHttp({ access, clock: systemClock, random: Math.random, version: '0', replica: client });
  }

  async send(method: KubeRequest['method'], path: string, body?: object): Promise<unknown> {
    const merge = method === 'PATCH' ? { contentType: 'application/merge-patch+json' as const } : {};
    const outcome = await this.http.request({ method, path, ...merge, ...(body === undefined ? {} : { body }) });
    if (!outcome.ok) throw new Refusal(outcome.error);
    return outcome.value;
  }

  /** Like `send`; `undefined` when the object does not exist (any more). */
  async find(method: KubeRequest['method'], path: string, body?: object): Promise<unknown> {
    try {
      return await this.send(method, path, body);
    } catch (error) {
      if (error instanceof Refusal && error.code === 404) return undefined;
      throw error;
    }
  }
}
