// Identifies the API server, the only client of the aggregated API. It presents the front proxy's client certificate
// and names the user that it has authenticated and authorised. The authority and names of that certificate, and the
// names of the headers, are in a ConfigMap that the API server publishes and that is read every minute.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { z } from 'zod';
import type { Clock, Random } from '../../runtime/clock.ts';
import type { KubeHttp } from '../kubernetes/http.ts';
import { parseConfigMapData } from '../kubernetes/objects.ts';
import { RecurringLook } from '../kubernetes/recurring-look.ts';
import { type RemoteUser, type RemoteUserHeaders, readRemoteUser } from './remote-user.ts';

const configMapPath = '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication';
const milliseconds = { check: 60_000, retry: 2_000 } as const;

const names = z.string().transform((text, context) => {
  try {
    return z.array(z.string()).parse(JSON.parse(text));
  } catch {
    context.addIssue({ code: 'custom', message: 'is not a list of names' });
    return z.NEVER;
  }
});

const frontProxy = z.object({
  'requestheader-client-ca-file': z.string().min(1),
  'requestheader-allowed-names': names.default([]),
  'requestheader-username-headers': names.default(['X-Remote-User']),
  // No default: an API server that lists no such header passes on what a user sends under that name.
  'requestheader-uid-headers': names.default([]),
  'requestheader-group-headers': names.default(['X-Remote-Group']),
  'requestheader-extra-headers-prefix': names.default(['X-Remote-Extra-']),
});

interface Trust {
  /** PEM. */
  readonly authority: string;
  /** Common names; empty = any. */
  readonly allowedNames: readonly string[];
  readonly headers: RemoteUserHeaders;
}

export interface FrontProxyOptions {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly random: Random;
}

export interface FrontProxyObserver {
  /** New connections must be asked for a certificate of this authority. */
  trusts(authority: string): void;
  failed(message: string): void;
}

export type Peer =
  | { readonly ok: true; readonly headers: RemoteUserHeaders }
  | { readonly ok: false; readonly message: string };
export type Asker = { readonly ok: true; readonly user: RemoteUser } | { readonly ok: false; readonly message: string };

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
   * Whether a connection comes from the API server.
   * @param shown PEM of the authority whose certificate the connection was asked for; connections outlast a change of
   * it
   */
  knows(socket: Duplex, shown: string): Peer {
    const trust = this.#trust;
    if (trust === undefined || !(socket instanceof TLSSocket)) return refused('the front proxy is not known');
    if (shown !== trust.authority) return refused('the front proxy has another authority by now');
    if (!socket.authorized) {
      return refused(`the client certificate is not of the front proxy: ${socket.authorizationError}`);
    }
    const certificate = socket.getPeerCertificate();
    // A resumed session could count as authorised without a certificate. With several names it is undefined which one
    // counts.
    if (certificate.raw === undefined) return refused('there is no client certificate');
    const name: unknown = certificate.subject?.CN;
    const isAllowed =
      trust.allowedNames.length === 0 || (typeof name === 'string' && trust.allowedNames.includes(name));
    return isAllowed
      ? { ok: true, headers: trust.headers }
      : refused(`${String(name)} is not allowed as a front proxy`);
  }

  /**
   * Whether the request comes from the API server, and for which user. Nothing else of the request is read before that
   * is known.
   */
  judge(request: IncomingMessage, shown: string): Asker {
    const peer = this.knows(request.socket, shown);
    if (!peer.ok) return peer;
    return readRemoteUser(request.rawHeaders, peer.headers);
  }

  /** What is wrong; undefined if nothing is. */
  async #look(): Promise<string | undefined> {
    const answer = await this.#options.http.request({ method: 'GET', path: configMapPath });
    if (!answer.ok) return `the ConfigMap of the front proxy cannot be read: ${answer.error.message}`;
    const parsed = frontProxy.safeParse(parseConfigMapData(answer.value) ?? {});
    if (!parsed.success) return `the ConfigMap of the front proxy is not as expected: ${z.prettifyError(parsed.error)}`;
    const before = this.#trust?.authority;
    this.#trust = {
      authority: parsed.data['requestheader-client-ca-file'],
      allowedNames: parsed.data['requestheader-allowed-names'],
      headers: {
        username: parsed.data['requestheader-username-headers'],
        uid: parsed.data['requestheader-uid-headers'],
        group: parsed.data['requestheader-group-headers'],
        extraPrefix: parsed.data['requestheader-extra-headers-prefix'],
      },
    };
    if (before !== this.#trust.authority) this.#observer?.trusts(this.#trust.authority);
    return undefined;
  }
}

const refused = (message: string) => ({ ok: false, message }) as const;
