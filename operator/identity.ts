// How the operator and its agents identify each other, according to the flags: in a cluster by TokenReview and our own
// certificates; in development by files, or without TLS on loopback.
import type { Logger } from 'pino';
import type { Clock, Random } from '../runtime/clock.ts';
import { type AgentAuthenticator, StaticTokens } from './agents/authentication.ts';
import { TokenReviews } from './agents/token-review.ts';
import { CertificateFiles, type CertificateSource } from './certificates/source.ts';
import { CertificateStore } from './certificates/store.ts';
import type { KubeHttp } from './kubernetes/http.ts';

export interface IdentityFlags {
  readonly namespace: string;
  readonly agentTokens?: string;
  readonly agentServiceAccount: string;
  readonly servingName: readonly string[];
  readonly tlsCertificate?: string;
  readonly tlsKey?: string;
  /** Undefined: all addresses. */
  readonly bindAddress?: string;
  readonly apiService?: string;
}

export interface IdentityPorts {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly random: Random;
}

const loopback = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/;

/** What is wrong with the flags; undefined if they are valid. */
export function identityProblem({
  agentTokens,
  tlsCertificate,
  tlsKey,
  bindAddress = '',
  apiService,
}: IdentityFlags): string | undefined {
  if ((tlsCertificate === undefined) !== (tlsKey === undefined)) {
    return '--tls-certificate and --tls-key belong together';
  }
  if (apiService !== undefined && (tlsCertificate !== undefined || agentTokens !== undefined)) {
    return '--api-service needs the certificates that the operator makes: with --tls-certificate set spec.caBundle yourself';
  }
  if (agentTokens === undefined || tlsCertificate !== undefined || loopback.test(bindAddress)) return undefined;
  return 'agents with --agent-tokens need TLS: give --tls-certificate and --tls-key, or a loopback --bind-address';
}

export interface AuthenticatorPorts {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly logger: Logger;
}

export function authenticatorOf(flags: IdentityFlags, ports: AuthenticatorPorts): AgentAuthenticator {
  if (flags.agentTokens !== undefined) return new StaticTokens(flags.agentTokens, ports.logger);
  const [name = '', namespace = flags.namespace] = flags.agentServiceAccount.split('/').reverse();
  return new TokenReviews({
    http: ports.http,
    clock: ports.clock,
    userName: `system:serviceaccount:${namespace}:${name}`,
  });
}

/** Undefined: no TLS. */
export function certificatesOf(flags: IdentityFlags, ports: IdentityPorts): CertificateSource | undefined {
  const { tlsCertificate: certificate, tlsKey: key, namespace, servingName } = flags;
  if (certificate !== undefined && key !== undefined) return new CertificateFiles({ certificate, key }, ports.clock);
  if (flags.agentTokens !== undefined) return undefined;
  const service = `lcow-operator.${namespace}.svc`;
  const names = ['lcow-operator', service, `${service}.cluster.local`, ...servingName];
  return new CertificateStore({ ...ports, namespace, names: [...new Set(names)] });
}
