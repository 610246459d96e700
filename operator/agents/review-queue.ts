// When a token is reviewed. A review costs the API server a request, and a stranger can show as many tokens as he likes, so
// there are two classes. Tokens with the API server's signature come first. All others share a few places by turns among
// addresses, and each refusal of one takes from an allowance: with none left they wait. So what strangers cost the API server
// has a bound, and they wait for each other only.
import { Allowance } from '../../runtime/allowance.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { FairPool } from '../connections/fair-pool.ts';

export const reviewBounds = {
  inFlight: 16,
  /** Of these, tokens without the signature. */
  unsignedInFlight: 4,
  /** Refused tokens without the signature: so many a second, and at once. */
  refusals: { perSecond: 10, burst: 100 },
  /** Waiting tokens; beyond half of it, the address with the most of them loses its oldest (8 KiB each at most). */
  signedWaiting: 12_288,
  unsignedWaiting: 512,
  /** An agent that has given up meanwhile finds the verdict when it dials again. */
  signedWaitMilliseconds: 30_000,
  unsignedWaitMilliseconds: 5_000,
} as const;

interface Waiting {
  readonly signed: boolean;
  readonly begin: (mayBegin: boolean) => void;
  readonly deadline: Timer;
}

export class ReviewQueue {
  readonly #clock: Clock;
  readonly #signed = new FairPool<Waiting>(reviewBounds.signedWaiting);
  readonly #unsigned = new FairPool<Waiting>(reviewBounds.unsignedWaiting);
  readonly #refusals: Allowance;
  #inFlight = 0;
  #unsignedInFlight = 0;
  /** While set, tokens without the signature wait. */
  #pause: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#refusals = new Allowance(clock, reviewBounds.refusals.perSecond, reviewBounds.refusals.burst);
  }

  /** Undefined when its turn did not come in time. `wasRefused` is asked of the result. */
  async run<T>(
    { address, signed }: { readonly address: string; readonly signed: boolean },
    review: () => Promise<T>,
    wasRefused: (result: T) => boolean,
  ): Promise<T | undefined> {
    if (!(await this.#turn(address, signed))) return undefined;
    try {
      const result = await review();
      if (!signed && wasRefused(result)) this.#takeRefusal();
      return result;
    } finally {
      this.#inFlight -= 1;
      if (!signed) this.#unsignedInFlight -= 1;
      this.#beginNext();
    }
  }

  #turn(address: string, signed: boolean): Promise<boolean> {
    const [pool, milliseconds] = signed
      ? [this.#signed, reviewBounds.signedWaitMilliseconds]
      : [this.#unsigned, reviewBounds.unsignedWaitMilliseconds];
    return new Promise((resolve) => {
      const deadline = this.#clock.after(milliseconds, () => {
        if (pool.delete(waiting)) resolve(false);
      });
      const waiting = { signed, deadline, begin: resolve };
      const crowdedOut = pool.add(address, waiting);
      crowdedOut?.deadline.cancel();
      crowdedOut?.begin(false);
      this.#beginNext();
    });
  }

  #beginNext(): void {
    while (this.#inFlight < reviewBounds.inFlight) {
      const next = this.#signed.take() ?? this.#nextUnsigned();
      if (next === undefined) return;
      this.#inFlight += 1;
      if (!next.signed) this.#unsignedInFlight += 1;
      next.deadline.cancel();
      next.begin(true);
    }
  }

  #nextUnsigned(): Waiting | undefined {
    if (this.#pause !== undefined || this.#unsignedInFlight >= reviewBounds.unsignedInFlight) return undefined;
    return this.#unsigned.take();
  }

  #takeRefusal(): void {
    const milliseconds = this.#refusals.take();
    if (milliseconds === 0) return;
    this.#pause?.cancel();
    this.#pause = this.#clock.after(milliseconds, () => {
      this.#pause = undefined;
      this.#beginNext();
    });
  }
}
