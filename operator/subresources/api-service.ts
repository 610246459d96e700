// Keeps `spec.caBundle` of the APIService equal to the authority of the operator's own serving certificate: the API server
// trusts nothing else there, and nobody else knows when the authority changes. Looked at every half a minute, since a
// chart that is applied anew may take the bundle away.
import { z } from 'zod';
import type { Clock, Random, Timer } from '../../protocol/clock.ts';
import { isNotFound } from '../kubernetes/api-error.ts';
import type { KubeHttp } from '../kubernetes/http.ts';

const milliseconds = { check: 30_000, retry: 2_000 } as const;

const apiService = z.object({ spec: z.object({ caBundle: z.string().default('') }).prefault({}) });

export interface ApiServiceOptions {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly random: Random;
  readonly name: string;
  readonly failed: (message: string) => void;
}

export class ApiServiceTrust {
  readonly #options: ApiServiceOptions;
  #bundle: string | undefined;
  #timer: Timer | undefined;
  #working: Promise<void> | undefined;
  #stopped = false;

  constructor(options: ApiServiceOptions) {
    this.#options = options;
  }

  /** @param bundle PEM */
  trust(bundle: string): void {
    if (bundle === this.#bundle || this.#stopped) return;
    this.#bundle = bundle;
    this.#timer?.cancel();
    this.#work();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#working;
  }

  #work(): void {
    const before = this.#working ?? Promise.resolve();
    const working = before
      .then(() => this.#look())
      .then((problem) => {
        if (problem !== undefined) this.#options.failed(problem);
        if (this.#stopped || this.#working !== working) return;
        const pause = problem === undefined ? milliseconds.check : milliseconds.retry;
        this.#timer = this.#options.clock.after(pause * (0.5 + this.#options.random()), () => this.#work());
      });
    this.#working = working;
  }

  /** What is wrong, or undefined. */
  async #look(): Promise<string | undefined> {
    const { http, name } = this.#options;
    const path = `/apis/apiregistration.k8s.io/v1/apiservices/${encodeURIComponent(name)}`;
    const found = await http.request({ method: 'GET', path });
    if (!found.ok && isNotFound(found.error)) return `there is no APIService ${name}`;
    if (!found.ok) return `the APIService ${name} cannot be read: ${found.error.message}`;
    const wanted = Buffer.from(this.#bundle ?? '').toString('base64');
    const parsed = apiService.safeParse(found.value);
    if (parsed.success && parsed.data.spec.caBundle === wanted) return undefined;
    const patched = await http.request({
      method: 'PATCH',
      path,
      contentType: 'application/merge-patch+json',
      body: { spec: { caBundle: wanted, insecureSkipTLSVerify: null } },
    });
    return patched.ok ? undefined : `the APIService ${name} cannot be told the CA: ${patched.error.message}`;
  }
}
