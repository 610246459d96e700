// Decides when a token is reviewed. A review costs a request to the API server, and a stranger can present any number
// of tokens, so there are two classes. Tokens with the API server's signature come first. All others share a few
// places, by turns among addresses, and each refusal of one uses up an allowance; without allowance they wait. So the
// load of strangers on the API server is bounded, and they delay only each other.
import { Allowance } from '../../runtime/allowance.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { FairPool } from '../../runtime/connections/fair-pool.ts';

export const reviewBounds = {
  inFlight: 16,
  /** How many of these may be tokens without the signature. */
  unsignedInFlight: 4,
  /** Refused tokens without the signature, per second and at once. */
  refusals: { perSecond: 10, burst: 100 },
  /** Waiting tokens. Beyond half of this, the address with the most tokens loses its oldest (8 KiB each at most). */
  signedWaiting: 12_288,
  unsignedWaiting: 512,
  /** An agent that has given up meanwhile gets the verdict when it connects again. */
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

  /** Undefined when the turn did not come in time. `wasRefused` judges the result. */
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
