// What a spec refers to, read live each time: a confidential VM's policy may stand in a ConfigMap.
import type { LinuxUtilityVMSpec } from '../../crds/linux-utility-vm.ts';
import type { KubeHttp } from '../kubernetes/http.ts';
import { parseConfigMapData } from '../kubernetes/objects.ts';
import type { Verdict } from './status.ts';

export type References =
  | { readonly ok: true; readonly securityPolicy: string | undefined }
  | { readonly ok: false; readonly verdict: Verdict };

export class ReferenceReader {
  readonly #http: KubeHttp;

  constructor(http: KubeHttp) {
    this.#http = http;
  }

  async read(namespace: string, spec: LinuxUtilityVMSpec): Promise<References> {
    const reference = spec.confidential?.securityPolicyFrom?.configMapKeyRef;
    if (reference === undefined) return { ok: true, securityPolicy: undefined };
    const { name, key } = reference;
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps/${encodeURIComponent(name)}`;
    const answer = await this.#http.request({ method: 'GET', path });
    if (!answer.ok) return unreadable(`ConfigMap ${name} cannot be read: ${answer.error.message}`);
    const securityPolicy = parseConfigMapData(answer.value)?.[key];
    if (securityPolicy === undefined) return unreadable(`ConfigMap ${name} has no key ${key}`);
    return { ok: true, securityPolicy };
  }
}

function unreadable(what: string): References {
  const message = `confidential.securityPolicyFrom: ${what}`;
  return { ok: false, verdict: { reason: 'ReferenceUnreadable', message } };
}
