// What a spec refers to: a confidential VM's policy may stand in a ConfigMap. Read by name, since the operator has the right
// to read ConfigMaps but not to list them; many VMs with one policy cost one read. What was read goes on to be used while
// the API server cannot answer.
import type { LinuxUtilityVMSpec } from '../../crds/linux-utility-vm.ts';
import type { Clock } from '../../protocol/clock.ts';
import type { Outcome } from '../kubernetes/api-error.ts';
import type { KubeHttp } from '../kubernetes/http.ts';
import { parseConfigMapData } from '../kubernetes/objects.ts';
import type { Verdict } from './status.ts';

export type References =
  | { readonly ok: true; readonly securityPolicy: string | undefined }
  | { readonly ok: false; readonly verdict: Verdict };

/** An edit of a ConfigMap is noticed this late. */
export const referencesValidMilliseconds = 30_000;
const bounds = { remembered: 1_000, failureValidMilliseconds: 2_000 } as const;

type Data = Readonly<Record<string, string>>;

interface Read {
  readonly at: number;
  readonly data: Promise<Outcome<Data>>;
}

export class ReferenceReader {
  readonly #http: KubeHttp;
  readonly #clock: Clock;
  readonly #reads = new Map<string, Read>();

  constructor(http: KubeHttp, clock: Clock) {
    this.#http = http;
    this.#clock = clock;
  }

  async read(namespace: string, spec: LinuxUtilityVMSpec): Promise<References> {
    const reference = spec.confidential?.securityPolicyFrom?.configMapKeyRef;
    if (reference === undefined) return { ok: true, securityPolicy: undefined };
    const { name, key } = reference;
    const answer = await this.#configMap(namespace, name);
    if (!answer.ok) return unreadable(`ConfigMap ${name} cannot be read: ${answer.error.message}`);
    const securityPolicy = answer.value[key];
    if (securityPolicy === undefined) return unreadable(`ConfigMap ${name} has no key ${key}`);
    return { ok: true, securityPolicy };
  }

  async #configMap(namespace: string, name: string): Promise<Outcome<Data>> {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps/${encodeURIComponent(name)}`;
    const now = this.#clock.now();
    const known = this.#reads.get(path);
    const before = await known?.data;
    const valid = before?.ok === false ? bounds.failureValidMilliseconds : referencesValidMilliseconds;
    const current = this.#reads.get(path);
    if (current !== undefined && (current !== known || Math.abs(now - current.at) < valid)) return current.data;
    const data = this.#read(path, before);
    this.#remember(path, { at: now, data });
    return data;
  }

  async #read(path: string, before: Outcome<Data> | undefined): Promise<Outcome<Data>> {
    const answer = await this.#http.request({ method: 'GET', path });
    if (answer.ok) return { ok: true, value: parseConfigMapData(answer.value) ?? {} };
    return answer.error.retryable && before?.ok === true ? before : answer;
  }

  #remember(path: string, read: Read): void {
    this.#reads.delete(path);
    this.#reads.set(path, read);
    for (const oldest of this.#reads.keys()) {
      if (this.#reads.size <= bounds.remembered) return;
      this.#reads.delete(oldest);
    }
  }
}

/** Whether it has to be looked at from time to time, since nobody tells of a change. */
export function hasReferences({ confidential }: LinuxUtilityVMSpec): boolean {
  return confidential?.securityPolicyFrom !== undefined;
}

function unreadable(what: string): References {
  const message = `confidential.securityPolicyFrom: ${what}`;
  return { ok: false, verdict: { reason: 'ReferenceUnreadable', message } };
}
