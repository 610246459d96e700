// Who may ask the aggregated API: only the API server itself, which shows the front proxy's client certificate and names the
// user that it has authenticated and authorised. What that certificate is signed by and called, and the names of the
// headers, stand in a ConfigMap that the API server publishes, and are read again every minute.
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { z } from 'zod';
import type { Clock, Random } from '../../protocol/clock.ts';
import type { KubeHttp } from '../kubernetes/http.ts';
import { parseConfigMapData } from '../kubernetes/objects.ts';
import { RecurringLook } from '../kubernetes/recurring-look.ts';

const configMapPath = '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication';
const milliseconds = { check: 60_000, retry: 2_000 } as const;

const names = z.string().transform((text, context) => {
  try {
    return z.array(z.string()).parse(JSON.parse(text));
  } catch {
    context.addIssue({ code: 'custom', message: 'is no list of names' });
    return z.NEVER;
  }
});

const frontProxy = z.object({
  'requestheader-client-ca-file': z.string().min(1),
  'requestheader-allowed-names': names.default([]),
  'requestheader-username-headers': names.default(['X-Remote-User']),
});

interface Trust {
  /** PEM. */
  readonly authority: string;
  /** Common names; empty = any. */
  readonly allowedNames: readonly string[];
  readonly userHeaders: readonly string[];
}

export interface FrontProxyOptions {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly random: Random;
}

export interface FrontProxyObserver {
  /** Connections from now on are to be asked for a certificate of this authority. */
  trusts(authority: string): void;
  failed(message: string): void;
}

export type Asker = { readonly ok: true; readonly user: string } | { readonly ok: false; readonly message: string };

export class FrontProxy {
  readonly #options: FrontProxyOptions;
  readonly #looks: RecurringLook;
  #observer: FrontProxyObserver | undefined;
  #trust: Trust | undefined;

  constructor(options: FrontProxyOptions) {
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

  start(observer: FrontProxyObserver): void {
    this.#observer = observer;
    this.#looks.now();
  }

  stop(): Promise<void> {
    return this.#looks.stop();
  }

  /** Undefined before the first look. */
  get authority(): string | undefined {
    return this.#trust?.authority;
  }

  /**
   * Whether the request came from the API server, and for whom.
   * @param shown PEM of the authority that its connection was asked to show a certificate of; connections last
   */
  judge(request: IncomingMessage, shown: string): Asker {
    const trust = this.#trust;
    const { socket } = request;
    if (trust === undefined || !(socket instanceof TLSSocket))
      return { ok: false, message: 'the front proxy is not known' };
    if (shown !== trust.authority) return { ok: false, message: 'the front proxy has another authority by now' };
    if (!socket.authorized) {
      return { ok: false, message: `the client certificate is not of the front proxy: ${socket.authorizationError}` };
    }
    const { subject } = socket.getPeerCertificate();
    const name = Array.isArray(subject.CN) ? subject.CN[0] : subject.CN;
    if (trust.allowedNames.length > 0 && !trust.allowedNames.includes(name ?? '')) {
      return { ok: false, message: `${name} is not allowed as a front proxy` };
    }
    for (const header of trust.userHeaders) {
      const user = request.headers[header.toLowerCase()];
      if (typeof user === 'string' && user !== '') return { ok: true, user };
    }
    return { ok: false, message: 'the front proxy names no user' };
  }

  /** What is wrong, or undefined. */
  async #look(): Promise<string | undefined> {
    const answer = await this.#options.http.request({ method: 'GET', path: configMapPath });
    if (!answer.ok) return `the ConfigMap of the front proxy cannot be read: ${answer.error.message}`;
    const parsed = frontProxy.safeParse(parseConfigMapData(answer.value) ?? {});
    if (!parsed.success) return `the ConfigMap of the front proxy is not as expected: ${z.prettifyError(parsed.error)}`;
    const before = this.#trust?.authority;
    this.#trust = {
      authority: parsed.data['requestheader-client-ca-file'],
      allowedNames: parsed.data['requestheader-allowed-names'],
      userHeaders: parsed.data['requestheader-username-headers'],
    };
    if (before !== this.#trust.authority) this.#observer?.trusts(this.#trust.authority);
    return undefined;
  }
}
