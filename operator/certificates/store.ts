// Keeps the certificates in a Secret and the bundle that agents trust in a ConfigMap. Any replica rotates them. When
// two replicas do so at once, one wins and the other takes over the result. While the API server is away, the
// certificates in use stay.
import { z } from 'zod';
import type { Clock, Random } from '../../runtime/clock.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../kubernetes/api-error.ts';
import type { KubeHttp } from '../kubernetes/http.ts';
import { RecurringLook } from '../kubernetes/recurring-look.ts';
import { isPair, type KeyPair } from './authority.ts';
import { type CertificateSet, rotate, type StoredCertificates, trustBundle } from './rotation.ts';
import type { CertificateObserver, CertificateSource } from './source.ts';

export interface CertificateStoreOptions {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly random: Random;
  readonly namespace: string;
  /** Names under which agents may reach the operator. */
  readonly names: readonly string[];
}

export const certificateSecret = 'lcow-operator-certificates';
export const trustConfigMap = 'lcow-operator-ca';
const milliseconds = { check: 5 * 60_000, retry: 2_000 } as const;

/** The shape of Secrets and ConfigMaps. */
const stored = z.object({
  metadata: z.looseObject({ name: z.string(), resourceVersion: z.string() }),
  data: z.record(z.string(), z.string()).default({}),
});
type StoredData = z.infer<typeof stored>;

type Problem = string | undefined;

export class CertificateStore implements CertificateSource {
  readonly #options: CertificateStoreOptions;
  readonly #looks: RecurringLook;
  #observer: CertificateObserver | undefined;
  #serving: KeyPair | undefined;

  constructor(options: CertificateStoreOptions) {
    this.#options = options;
    const { clock, random } = options;
    this.#looks = new RecurringLook({
      clock,
      random,
      milliseconds,
      look: () => this.#look(),
      failed: (problem) => this.#observer?.failed(problem),
    });
  }

  start(observer: CertificateObserver): void {
    this.#observer = observer;
    this.#looks.now();
  }

  stop(): Promise<void> {
    return this.#looks.stop();
  }

  /** Reads the store, rotates if needed, and passes the result on. */
  async #look(): Promise<Problem> {
    const secret = await this.#read('secrets', certificateSecret);
    if (!secret.ok) return secret.problem;
    const before = secret.value === undefined ? undefined : decode(secret.value.data);
    const set = await rotate(before, this.#options.names, this.#options.clock.now());
    const problem =
      (JSON.stringify(set) === JSON.stringify(before) ? undefined : await this.#keep(secret.value, set)) ??
      (await this.#publish(trustBundle(set)));
    if (problem !== undefined) return problem;
    this.#observer?.trusted?.(trustBundle(set));
    if (this.#serving?.certificate !== set.serving.certificate) {
      this.#serving = set.serving;
      this.#observer?.serving(set.serving);
    }
    return undefined;
  }

  #keep(before: StoredData | undefined, set: CertificateSet): Promise<Problem> {
    return this.#write('secrets', 'Secret', certificateSecret, before, encode(set));
  }

  async #publish(bundle: string): Promise<Problem> {
    const found = await this.#read('configmaps', trustConfigMap);
    if (!found.ok) return found.problem;
    if (found.value?.data['ca.crt'] === bundle) return undefined;
    return this.#write('configmaps', 'ConfigMap', trustConfigMap, found.value, { 'ca.crt': bundle });
  }

  async #read(
    plural: string,
    name: string,
  ): Promise<
    { readonly ok: true; readonly value: StoredData | undefined } | { readonly ok: false; readonly problem: string }
  > {
    const answer = await this.#options.http.request({ method: 'GET', path: `${this.#path(plural)}/${name}` });
    if (!answer.ok && isNotFound(answer.error)) return { ok: true, value: undefined };
    if (!answer.ok) return { ok: false, problem: `${plural}/${name} cannot be read: ${answer.error.message}` };
    const parsed = stored.safeParse(answer.value);
    return parsed.success
      ? { ok: true, value: parsed.data }
      : { ok: false, problem: `${plural}/${name} is not as expected` };
  }

  async #write(
    plural: string,
    kind: string,
    name: string,
    before: StoredData | undefined,
    data: Readonly<Record<string, string>>,
  ): Promise<Problem> {
    const { namespace } = this.#options;
    const path = this.#path(plural);
    const answer = await this.#options.http.request(
      before === undefined
        ? { method: 'POST', path, body: { apiVersion: 'v1', kind, metadata: { name, namespace }, data } }
        : {
            method: 'PUT',
            path: `${path}/${name}`,
            body: { apiVersion: 'v1', kind, metadata: before.metadata, data: { ...before.data, ...data } },
          },
    );
    if (answer.ok) return undefined;
    if (isConflict(answer.error) || isAlreadyExists(answer.error)) return `another replica wrote ${plural}/${name}`;
    return `${plural}/${name} cannot be written: ${answer.error.message}`;
  }

  #path(plural: string): string {
    return `/api/v1/namespaces/${encodeURIComponent(this.#options.namespace)}/${plural}`;
  }
}

const files = {
  authority: ['ca.crt', 'ca.key'],
  successor: ['next-ca.crt', 'next-ca.key'],
  serving: ['tls.crt', 'tls.key'],
} as const;
const formerFile = 'former-ca.crt';

/** A key that does not belong to its certificate is ignored: an edited Secret must not stop the operator. */
function decode(data: Readonly<Record<string, string>>): StoredCertificates | undefined {
  const text = (name: string) => {
    const value = data[name];
    return value === undefined || value === '' ? undefined : Buffer.from(value, 'base64').toString('utf8');
  };
  const pair = ([certificate, key]: readonly [string, string]): KeyPair | undefined => {
    const found = { certificate: text(certificate) ?? '', key: text(key) ?? '' };
    return isPair(found) ? found : undefined;
  };
  const authority = pair(files.authority);
  if (authority === undefined) return undefined;
  const serving = pair(files.serving);
  const others = { successor: pair(files.successor), former: text(formerFile) };
  return { authority, ...others, ...(serving === undefined ? {} : { serving }) };
}

/** A missing certificate is written as an empty text. Otherwise an old one would remain in the Secret. */
function encode({ authority, successor, former, serving }: CertificateSet): Record<string, string> {
  const base64 = (text: string | undefined) => Buffer.from(text ?? '').toString('base64');
  const pair = ([certificate, key]: readonly [string, string], value: KeyPair | undefined) => ({
    [certificate]: base64(value?.certificate),
    [key]: base64(value?.key),
  });
  return {
    ...pair(files.authority, authority),
    ...pair(files.successor, successor),
    [formerFile]: base64(former),
    ...pair(files.serving, serving),
  };
}
