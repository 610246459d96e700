// The tokens of the agents' pods, as the kubelet gives them: bound to a Node, and only the API server knows whether one
// is genuine.
import { agentAudience } from '../../../operator/agents/token-review.ts';

export const agentUserName = 'system:serviceaccount:lcow-system:lcow-agent';
const lifetimeMilliseconds = 60 * 60_000;

export interface IssuedToken {
  readonly nodeName: string;
  readonly nodeUID: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export class Tokens {
  readonly #issued = new Map<string, IssuedToken>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  issue(nodeName: string, nodeUID: string): string {
    const expiresAt = this.#now() + lifetimeMilliseconds;
    const exp = Math.floor(expiresAt / 1000);
    const claims = { aud: [agentAudience], exp, sub: agentUserName, jti: `${nodeUID}-${exp}` };
    const token = `${encoded({ alg: 'RS256', kid: 'simulated' })}.${encoded(claims)}.${encoded(nodeUID)}`;
    this.#issued.set(token, { nodeName, nodeUID, expiresAt });
    return token;
  }

  /** Undefined for a token that is not genuine, or not any more. */
  find(token: string): IssuedToken | undefined {
    const issued = this.#issued.get(token);
    return issued !== undefined && issued.expiresAt > this.#now() ? issued : undefined;
  }
}

function encoded(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
