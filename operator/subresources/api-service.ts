// Keeps `spec.caBundle` of the APIService equal to the authority of the operator's own serving certificate. The API
// server trusts nothing else there, and nobody else knows when the authority changes. Checked every half minute,
// because applying the chart again may remove the bundle.
import { z } from 'zod';
import type { Clock, Random } from '../../runtime/clock.ts';
import { isNotFound } from '../kubernetes/api-error.ts';
import type { KubeHttp } from '../kubernetes/http.ts';
import { RecurringLook } from '../kubernetes/recurring-look.ts';

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
  readonly #looks: RecurringLook;
  #bundle: string | undefined;

  constructor(options: ApiServiceOptions) {
    this.#options = options;
    const { clock, failed, random } = options;
    this.#looks = new RecurringLook({ clock, random, milliseconds, look: () => this.#look(), failed });
  }

  /** @param bundle PEM */
  trust(bundle: string): void {
    if (bundle === this.#bundle) return;
    this.#bundle = bundle;
    this.#looks.now();
  }

  stop(): Promise<void> {
    return this.#looks.stop();
  }

  /** What is wrong; undefined if nothing is. */
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
    return patched.ok ? undefined : `the CA cannot be written to the APIService ${name}: ${patched.error.message}`;
  }
}
