// A user of the cluster with given rights and no others, who writes requests by hand.

import { plainHeaders, type RawAnswer, rawRequest, sendRaw } from '../support/system/raw-request.ts';
import type { RunningSystem } from '../support/system/running-system.ts';

const rbac = 'rbac.authorization.k8s.io';

export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

export interface UserSettings {
  /** The name of the user, of its namespace, and of its role. */
  readonly name: string;
  readonly rules: readonly Rule[];
  /** Whether the rules hold in every namespace instead of only the user's own. */
  readonly everywhere?: boolean;
}

export class ClusterUser implements AsyncDisposable {
  readonly namespace: string;
  readonly #target: RunningSystem;
  readonly #settings: UserSettings;
  readonly #address: { readonly host: string; readonly port: number };
  readonly #token: string;

  private constructor(target: RunningSystem, settings: UserSettings, token: string) {
    const { hostname, port } = new URL(target.controlPlane.server);
    this.namespace = settings.name;
    this.#target = target;
    this.#settings = settings;
    this.#address = { host: hostname, port: Number(port) };
    this.#token = token;
  }

  static async create(target: RunningSystem, settings: UserSettings): Promise<ClusterUser> {
    await target.kubectl(['apply', '-f', '-'], JSON.stringify(objectsOf(settings)));
    const { name } = settings;
    const token = await target.kubectl(['create', 'token', name, '--namespace', name]);
    return new ClusterUser(target, settings, token.trim());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { everywhere = false, name } = this.#settings;
    if (everywhere) await this.#target.kubectl(['delete', 'clusterrole,clusterrolebinding', name]);
    await this.#target.kubectl(['delete', 'namespace', name, '--wait=false']);
  }

  /** @param target the target of the request, sent unchanged */
  send(target: string, headers: readonly string[] = plainHeaders, method = 'GET'): Promise<RawAnswer> {
    const authorization = `Authorization: Bearer ${this.#token}`;
    return sendRaw(this.#address, rawRequest(method, target, [authorization, ...headers]));
  }

  /** Repeats the request, because the API server learns of new rights and APIs with a delay. */
  async untilAnswered(code: number, target: string, headers?: readonly string[]): Promise<void> {
    await this.#target.until(`${target} is answered with ${code}`, async () => {
      const answer = await this.send(target, headers);
      return answer.code === code;
    });
  }
}

function objectsOf({ everywhere = false, name, rules }: UserSettings): object {
  const metadata = { name, ...(!everywhere && { namespace: name }) };
  const kind = everywhere ? 'ClusterRole' : 'Role';
  const subjects = [{ kind: 'ServiceAccount', name, namespace: name }];
  return {
    apiVersion: 'v1',
    kind: 'List',
    items: [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name } },
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: name } },
      { apiVersion: `${rbac}/v1`, kind, metadata, rules },
      { apiVersion: `${rbac}/v1`, kind: `${kind}Binding`, metadata, roleRef: { apiGroup: rbac, kind, name }, subjects },
    ],
  };
}
