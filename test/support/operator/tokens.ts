// Service account tokens as the API server creates them, and as a stranger would forge them.
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export const agentUser = 'system:serviceaccount:default:lcow-agent';

export interface TokenClaims {
  readonly exp?: number;
  readonly aud?: string | readonly string[];
  readonly sub?: string;
  /** Makes tokens differ. */
  readonly jti?: string;
}

/** The signing key of an API server. */
export class Issuer {
  readonly #keyID: string;
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;

  constructor(keyID = 'key-1') {
    this.#keyID = keyID;
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#privateKey = privateKey;
    this.#publicKey = publicKey;
  }

  /** The answer to `/openid/v1/jwks`. */
  get keySet(): object {
    return { keys: [{ ...this.#publicKey.export({ format: 'jwk' }), kid: this.#keyID, alg: 'ES256', use: 'sig' }] };
  }

  token(claims: TokenClaims): string {
    const text = unsigned(claims, this.#keyID);
    const key = { key: this.#privateKey, dsaEncoding: 'ieee-p1363' } as const;
    return `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`;
  }
}

/** A well-formed token for the right agent with an invalid signature. */
export function forgedToken(claims: TokenClaims, keyID = 'key-1'): string {
  return `${unsigned(claims, keyID)}.${Buffer.alloc(64, 1).toString('base64url')}`;
}

function unsigned(claims: TokenClaims, kid: string): string {
  const complete = { exp: 4_102_444_800, aud: ['lcow-operator'], sub: agentUser, ...claims };
  const part = (json: object) => Buffer.from(JSON.stringify(json)).toString('base64url');
  return `${part({ alg: 'ES256', kid })}.${part(complete)}`;
}
