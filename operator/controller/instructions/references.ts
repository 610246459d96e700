// The policy of a confidential VM, which is in its spec or in a ConfigMap (docs/design.md §10, Fairness). Only digests
// are kept, and of a ConfigMap only those of the keys in use; a text is read when it must be sent to an agent.
// ConfigMaps are read by name, because the operator may read but not list them. Many VMs with one policy cost one read.
// While the API server cannot answer, the last known digest stays in use.
import type { LinuxUtilityVMSpec } from '../../../crds/linux-utility-vm.ts';
import { apiVersion, virtualMachinePlural } from '../../../crds/names.ts';
import { sha256Hex } from '../../../protocol/digest.ts';
import { limits } from '../../../protocol/messages.ts';
import type { Clock } from '../../../runtime/clock.ts';
import type { ApiError, Outcome } from '../../kubernetes/api-error.ts';
import type { KubeHttp } from '../../kubernetes/http.ts';
import {
  digestsOf,
  inlinePolicyOf,
  type PolicyDigests,
  parseConfigMapData,
  type VirtualMachine,
} from '../../kubernetes/objects.ts';
import type { Verdict } from '../status/status.ts';
import { BriefTexts } from './brief-texts.ts';

export type References =
  | { readonly ok: true; readonly policy: PolicyDigests | undefined }
  | { readonly ok: false; readonly verdict: Verdict };

export type PolicyText =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly verdict: Verdict };

/** The longest delay until an edit of a ConfigMap is noticed. */
export const referencesValidMilliseconds = 30_000;
/** Room in a frame for the message around a policy's text. */
const frameOverheadBytes = 1_024;
const bounds = {
  configMaps: 10_000,
  keys: 1_000,
  failureValidMilliseconds: 2_000,
  unusedMilliseconds: 300_000,
} as const;

type Value = { readonly sha256: string } | { readonly problem: string };
/** Values by the keys that VMs refer to. */
type Keys = ReadonlyMap<string, Value>;

interface Read {
  readonly at: number;
  readonly keys: Promise<Outcome<Keys>>;
}

interface ConfigMap {
  /** When a VM last referred to each key. */
  readonly usedAt: Map<string, number>;
  read: Read | undefined;
}

export class ReferenceReader {
  readonly #http: Pick<KubeHttp, 'request'>;
  readonly #clock: Clock;
  readonly #configMaps = new Map<string, ConfigMap>();
  readonly #texts: BriefTexts;
  /** For specs whose policy is in a ConfigMap: the digest of all options depends on the policy's text. */
  readonly #digests = new WeakMap<LinuxUtilityVMSpec, PolicyDigests>();

  constructor(http: Pick<KubeHttp, 'request'>, clock: Clock) {
    this.#http = http;
    this.#clock = clock;
    this.#texts = new BriefTexts(clock);
  }

  async read({ metadata, spec }: Pick<VirtualMachine, 'metadata' | 'spec'>): Promise<References> {
    if (!spec.ok) return { ok: true, policy: undefined };
    const reference = referenceOf(spec.value);
    if (reference === undefined) return { ok: true, policy: spec.policy };
    const { name, key } = reference;
    const path = configMapPath(metadata.namespace ?? '', name);
    const keys = await this.#keysOf(path, key);
    if (!keys.ok) return unanswered(`confidential.securityPolicyFrom: ConfigMap ${name}`, keys.error);
    const value = keys.value.get(key) ?? missing(key);
    if ('problem' in value) return unreadable(`ConfigMap ${name} ${value.problem}`);
    const { sha256 } = value;
    const known = this.#digests.get(spec.value);
    if (known?.sha256 === sha256) return { ok: true, policy: known };
    const text = await this.#textIn(path, name, key, sha256);
    if (!text.ok) return text;
    const policy = digestsOf(spec.value, text.text);
    this.#digests.set(spec.value, policy);
    return { ok: true, policy };
  }

  /** The text with this digest, if it is still where the VM's spec says. */
  async text({ metadata, spec }: VirtualMachine, sha256: string): Promise<PolicyText> {
    const reference = spec.ok ? referenceOf(spec.value) : undefined;
    if (reference !== undefined) {
      const { name, key } = reference;
      return this.#textIn(configMapPath(metadata.namespace ?? '', name), name, key, sha256);
    }
    const answer = await this.#http.request({ method: 'GET', path: machinePath(metadata) });
    if (!answer.ok) return unanswered('confidential.securityPolicy', answer.error);
    const text = inlinePolicyOf(answer.value);
    if (text !== undefined && sha256Hex(text) === sha256) return { ok: true, text };
    return unreadableText('confidential.securityPolicy has just changed', true);
  }

  async #textIn(path: string, name: string, key: string, sha256: string): Promise<PolicyText> {
    const kept = this.#texts.get(sha256);
    if (kept !== undefined) return { ok: true, text: kept };
    const answer = await this.#http.request({ method: 'GET', path });
    if (!answer.ok) return unanswered(`confidential.securityPolicyFrom: ConfigMap ${name}`, answer.error);
    const text = textOf(parseConfigMapData(answer.value), key);
    if (text === undefined || sha256Hex(text) !== sha256) {
      const configMap = this.#configMaps.get(path);
      if (configMap !== undefined) configMap.read = undefined; // its digests are out of date
      return unreadable(`ConfigMap ${name} has just changed`, true);
    }
    this.#texts.set(sha256, text);
    return { ok: true, text };
  }

  /** One read covers all keys in use of a ConfigMap. */
  async #keysOf(path: string, key: string): Promise<Outcome<Keys>> {
    const configMap = this.#use(path, key);
    const known = configMap.read;
    const before = await known?.keys;
    const current = configMap.read;
    if (current !== undefined && (current !== known || this.#isValid(current, before, key))) {
      const keys = await current.keys;
      if (!keys.ok || keys.value.has(key)) return keys;
    }
    const keys = this.#read(path, configMap, before);
    configMap.read = { at: this.#clock.now(), keys };
    return keys;
  }

  #isValid({ at }: Read, keys: Outcome<Keys> | undefined, key: string): boolean {
    const valid = keys?.ok === false ? bounds.failureValidMilliseconds : referencesValidMilliseconds;
    const isKnown = keys?.ok === false || keys?.value.has(key) === true;
    return isKnown && Math.abs(this.#clock.now() - at) < valid;
  }

  async #read(path: string, { usedAt }: ConfigMap, before: Outcome<Keys> | undefined): Promise<Outcome<Keys>> {
    const answer = await this.#http.request({ method: 'GET', path });
    if (!answer.ok) return answer.error.retryable && before?.ok === true ? before : answer;
    const data = parseConfigMapData(answer.value);
    const keys = new Map<string, Value>();
    for (const key of usedAt.keys()) {
      const text = textOf(data, key);
      const value = judged(key, text);
      keys.set(key, value);
      if (text !== undefined && 'sha256' in value && isNews(before, key, value.sha256)) {
        this.#texts.set(value.sha256, text);
      }
    }
    return { ok: true, value: keys };
  }

  /** A ConfigMap to which nobody has referred for five minutes is forgotten. */
  #use(path: string, key: string): ConfigMap {
    const now = this.#clock.now();
    const configMap = this.#configMaps.get(path) ?? { usedAt: new Map(), read: undefined };
    configMap.usedAt.delete(key);
    configMap.usedAt.set(key, now);
    forgetOldest(configMap.usedAt, bounds.keys, (at) => now - at > bounds.unusedMilliseconds);
    this.#configMaps.delete(path);
    this.#configMaps.set(path, configMap);
    forgetOldest(this.#configMaps, bounds.configMaps, ({ usedAt }) => {
      return [...usedAt.values()].every((at) => now - at > bounds.unusedMilliseconds);
    });
    return configMap;
  }
}

/** A ConfigMap may have a key such as `constructor`, which every object inherits. */
function textOf(data: Readonly<Record<string, string>> | undefined, key: string): string | undefined {
  return data !== undefined && Object.hasOwn(data, key) ? data[key] : undefined;
}

function judged(key: string, text: string | undefined): Value {
  if (text === undefined) return missing(key);
  if (text.length > limits.policyChars) {
    return { problem: `has ${text.length} characters under key ${key}; a policy has at most ${limits.policyChars}` };
  }
  // An agent would end the session because of a longer frame, and miss everything else for its host.
  if (Buffer.byteLength(JSON.stringify(text)) > limits.frameBytes - frameOverheadBytes) {
    return { problem: `is too large under key ${key} for a message to an agent` };
  }
  return { sha256: sha256Hex(text) };
}

function missing(key: string): Value {
  return { problem: `has no key ${key}` };
}

function isNews(before: Outcome<Keys> | undefined, key: string, sha256: string): boolean {
  const value = before?.ok === true ? before.value.get(key) : undefined;
  return value === undefined || !('sha256' in value) || value.sha256 !== sha256;
}

/** Whether the spec has references that must be checked periodically, because nobody reports their changes. */
export function hasReferences({ confidential }: LinuxUtilityVMSpec): boolean {
  return confidential?.securityPolicyFrom !== undefined;
}

function referenceOf({ confidential }: LinuxUtilityVMSpec) {
  return confidential?.securityPolicyFrom?.configMapKeyRef;
}

/** The map is in order of use, with the latest at its end. */
function forgetOldest<T>(map: Map<string, T>, maximum: number, isUnused: (value: T) => boolean): void {
  for (const [oldest, value] of map) {
    if (map.size <= maximum && !isUnused(value)) return;
    map.delete(oldest);
  }
}

function configMapPath(namespace: string, name: string): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps/${encodeURIComponent(name)}`;
}

function machinePath({ namespace = '', name }: VirtualMachine['metadata']): string {
  const collection = `/apis/${apiVersion}/namespaces/${encodeURIComponent(namespace)}/${virtualMachinePlural}`;
  return `${collection}/${encodeURIComponent(name)}`;
}

interface Unreadable {
  readonly ok: false;
  readonly verdict: Verdict;
}

function unreadable(what: string, isTransient = false): Unreadable {
  return unreadableText(`confidential.securityPolicyFrom: ${what}`, isTransient);
}

/** 404 and 403 are answers. 429, 5xx and time-outs say nothing about the object. */
function unanswered(what: string, { message, retryable }: ApiError): Unreadable {
  return unreadableText(`${what} cannot be read: ${message}`, retryable);
}

function unreadableText(message: string, isTransient: boolean): Unreadable {
  return { ok: false, verdict: { reason: 'ReferenceUnreadable', message, ...(isTransient && { isTransient }) } };
}
