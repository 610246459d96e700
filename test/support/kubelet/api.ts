// The API server as a kubelet uses it.
import { z } from 'zod';
import type { Stored } from '../../../operator/kubernetes/objects.ts';
import { Reflector } from '../../../operator/kubernetes/reflector.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { ClusterApi } from '../control-plane/cluster-api.ts';

const data = z.object({ data: z.record(z.string(), z.string()).default({}) });
const issued = z.object({ status: z.object({ token: z.string(), expirationTimestamp: z.string() }) });

export interface TokenFor {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly audience: string | undefined;
  readonly expirationSeconds: number;
  /** The token becomes invalid when the pod is gone. */
  readonly pod: { readonly name: string; readonly uid: string };
}

export class Api extends ClusterApi {
  constructor(kubeconfigPath: string) {
    super(kubeconfigPath, 'process-kubelet');
  }

  reflector<T extends Stored>(path: string, parse: (raw: unknown) => T | undefined): Reflector<T> {
    const observer = {
      failed: () => {},
      listed: () => {},
      unexpected: (where: string, what: string, error: unknown) => {
        process.stderr.write(`process kubelet: ${what} at ${where}: ${String(error)}\n`);
      },
    };
    return new Reflector({ http: this.http, path, clock: systemClock, random: Math.random, observer, parse });
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
