// The claims of a service account token. They are not trusted: a token can only be refused because of them, and only
// where the API server, or our check of its answer, would certainly refuse it.
import { z } from 'zod';

export interface TokenText {
  readonly algorithm: string;
  readonly keyID: string | undefined;
  readonly claims: Claims;
  /** The signed text and its signature. */
  readonly signed: string;
  readonly signature: Buffer;
}

export interface Expected {
  /** Milliseconds since the Unix epoch, by our clock. */
  readonly now: number;
  readonly audience: string;
  readonly userName: string;
}

const header = z.object({ alg: z.string(), kid: z.string().optional() });
const claims = z.object({
  exp: z.number().optional(),
  sub: z.string().optional(),
  aud: z.union([z.string().transform((one) => [one]), z.array(z.string())]).optional(),
});
type Claims = z.infer<typeof claims>;

/** Three parts in base64url. */
const jsonWebToken = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/;
/** The API server allows a minute. Its clock and ours may differ by more. */
const clockToleranceMilliseconds = 10 * 60_000;

export function readToken(bearer: string): TokenText | undefined {
  const [, head = '', body = '', signature = ''] = jsonWebToken.exec(bearer) ?? [];
  const readHeader = header.safeParse(jsonOf(head));
  const readClaims = claims.safeParse(jsonOf(body));
  if (!readHeader.success || !readClaims.success) return undefined;
  return {
    algorithm: readHeader.data.alg,
    keyID: readHeader.data.kid,
    claims: readClaims.data,
    signed: `${head}.${body}`,
    signature: Buffer.from(signature, 'base64url'),
  };
}

/** Why the token is refused without asking the API server; undefined if it must be asked. */
export function certainRefusal({ claims }: TokenText, { now, audience, userName }: Expected): string | undefined {
  const { exp, sub, aud } = claims;
  if (exp !== undefined && exp * 1000 < now - clockToleranceMilliseconds) return 'the token has expired';
  if (aud !== undefined && !aud.includes(audience)) return `the token is not for ${audience}`;
  if (sub !== undefined && sub !== userName) return `the token is not one of ${userName}`;
  return undefined;
}

function jsonOf(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
