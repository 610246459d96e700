// The keys with which the API server signs service account tokens (`/openid/v1/jwks`, readable for every service
// account). A valid signature does not admit anybody: the API server decides, because it also knows pods, Nodes and
// revocations. The signature only decides whose token is reviewed first. Strangers cannot sign, so they never delay an
// agent.
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { Clock } from '../../runtime/clock.ts';
import type { KubeHttp } from '../kubernetes/http.ts';
import type { TokenText } from './token-claims.ts';

const keySet = z.object({ keys: z.array(z.looseObject({ kid: z.string(), kty: z.string() })).max(64) });

const milliseconds = {
  request: 2_000,
  /** A token may name a key that was just added; a stranger's token can name any key. */
  betweenReads: 10_000,
  afterFailure: 1_000,
} as const;

/** The algorithms with which an API server can sign (RFC 7518 §3.1), by type of key. */
const algorithms: Readonly<Record<string, { readonly keyType: string; readonly hash: string }>> = {
  RS256: { keyType: 'rsa', hash: 'sha256' },
  RS384: { keyType: 'rsa', hash: 'sha384' },
  RS512: { keyType: 'rsa', hash: 'sha512' },
  ES256: { keyType: 'ec', hash: 'sha256' },
  ES384: { keyType: 'ec', hash: 'sha384' },
  ES512: { keyType: 'ec', hash: 'sha512' },
};

/** Runs on another thread: a thousand verifications at once would block everything else. */
const verifySignature = promisify(verify);

export class IssuerKeys {
  readonly #http: KubeHttp;
  readonly #clock: Clock;
  #keys: ReadonlyMap<string, KeyObject> = new Map();
  #readAt = Number.NEGATIVE_INFINITY;
  #pause: number = milliseconds.betweenReads;
  #reading: Promise<void> | undefined;

  constructor(http: KubeHttp, clock: Clock) {
    this.#http = http;
    this.#clock = clock;
  }

  /** Also false while the keys are unknown. */
  async haveSigned({ algorithm, keyID, signed, signature }: TokenText): Promise<boolean> {
    const scheme = algorithms[algorithm];
    if (scheme === undefined || keyID === undefined) return false;
    if (!this.#keys.has(keyID)) await this.#readAgain();
    const key = this.#keys.get(keyID);
    if (key?.asymmetricKeyType !== scheme.keyType) return false;
    return verifySignature(scheme.hash, Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }, signature);
  }

  async #readAgain(): Promise<void> {
    const isDue = Math.abs(this.#clock.now() - this.#readAt) >= this.#pause;
    if (isDue && this.#reading === undefined) {
      this.#readAt = this.#clock.now();
      this.#reading = this.#read().finally(() => {
        this.#reading = undefined;
      });
    }
    await this.#reading;
  }

  async #read(): Promise<void> {
    const timeout = new AbortController();
    const timer = this.#clock.after(milliseconds.request, () => timeout.abort());
    const answer = await this.#http.request({
      method: 'GET',
      path: '/openid/v1/jwks',
      accept: 'application/jwk-set+json',
      signal: timeout.signal,
    });
    timer.cancel();
    const read = answer.ok ? keySet.safeParse(answer.value) : undefined;
    this.#pause = read?.success === true ? milliseconds.betweenReads : milliseconds.afterFailure;
    if (read?.success === true) this.#keys = new Map(read.data.keys.flatMap(publicKey));
  }
}

function publicKey(jwk: z.infer<typeof keySet>['keys'][number]): [string, KeyObject][] {
  try {
    return [[jwk.kid, createPublicKey({ key: jwk, format: 'jwk' })]];
  } catch {
    return [];
  }
}
