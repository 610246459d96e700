// Remembers verdicts about tokens for a short while, by digest. Valid tokens and refusals have separate room, so that
// strangers with many invalid tokens cannot push out a valid one.
import { createHash } from 'node:crypto';
import { beginning } from '../../runtime/beginning.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Authentication } from './authentication.ts';

const bounds = { good: 8_192, refused: 4_096, milliseconds: 10_000, messageChars: 256 } as const;

interface Verdict {
  readonly at: number;
  readonly authentication: Authentication;
}

export class Verdicts {
  readonly #clock: Clock;
  readonly #good = new Map<string, Verdict>();
  readonly #refused = new Map<string, Verdict>();
  /** Tokens that are being judged: each is judged only once at a time. */
  readonly #pending = new Map<string, Promise<Authentication>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The known verdict, or the result of `judge`. A judgement that failed is not remembered. */
  async of(token: string, judge: () => Promise<Authentication>): Promise<Authentication> {
    const digest = createHash('sha256').update(token).digest('base64');
    const known = this.#good.get(digest) ?? this.#refused.get(digest);
    if (known !== undefined && Math.abs(this.#clock.now() - known.at) < bounds.milliseconds) {
      return known.authentication;
    }
    const pending = this.#pending.get(digest);
    if (pending !== undefined) return pending;
    const judged = judge().then((authentication) => this.#remember(digest, authentication));
    this.#pending.set(digest, judged);
    try {
      return await judged;
    } finally {
      this.#pending.delete(digest);
    }
  }

  #remember(digest: string, authentication: Authentication): Authentication {
    this.#good.delete(digest);
    this.#refused.delete(digest);
    const at = this.#clock.now();
    if (authentication.ok) {
      put(this.#good, digest, { at, authentication }, bounds.good);
      return authentication;
    }
    const short = { ...authentication, message: beginning(authentication.message, bounds.messageChars) };
    if (!short.retry) put(this.#refused, digest, { at, authentication: short }, bounds.refused);
    return short;
  }
}

function put(verdicts: Map<string, Verdict>, digest: string, verdict: Verdict, maximum: number): void {
  verdicts.set(digest, verdict);
  for (const oldest of verdicts.keys()) {
    if (verdicts.size <= maximum) return;
    verdicts.delete(oldest);
  }
}
