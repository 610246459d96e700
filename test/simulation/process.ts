// A simulated process. Everything that an operator or an agent does passes through the ports of its process. When the
// process dies, none of its remaining calls has an effect.
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Chance } from './chance.ts';
import type { World } from './world.ts';

/** The promise that a dead process awaits. */
export function never<T>(): Promise<T> {
  return new Promise(() => {});
}

/** Each delay takes time to simulate, so most answers come at once after the effect. */
const shareOfDelayedAnswers = 0.25;

export class Process {
  readonly name: string;
  readonly world: World;
  readonly clock: Clock;
  readonly #onDeath: (() => void)[] = [];
  readonly #timers = new Set<Timer>();
  readonly #answers: Chance;
  #isAlive = true;
  /** How often the process touched a port after its death. */
  touchedAfterDeath = 0;

  constructor(world: World, name: string, offset?: () => number) {
    this.world = world;
    this.name = name;
    this.#answers = world.chance(`answers to ${name}`);
    const clock = world.clock(name, offset);
    this.clock = { now: clock.now, after: (milliseconds, task) => this.#after(clock, milliseconds, task) };
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Calls `task` when the process dies, at once if it is dead. */
  onDeath(task: () => void): void {
    if (this.#isAlive) this.#onDeath.push(task);
    else task();
  }

  /** Ends all that the process could still do. */
  die(): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    for (const task of this.#onDeath.splice(0)) task();
  }

  /** Whether a port may act for the process. Counts the attempts of a dead process. */
  mayAct(): boolean {
    if (!this.#isAlive) this.touchedAfterDeath += 1;
    return this.#isAlive;
  }

  /**
   * A call of a port: it takes effect after a delay, and sometimes its answer takes as long again. The process may die
   * before the effect, or between the effect and a delayed answer.
   */
  async call<T>(source: string, milliseconds: () => number, effect: () => T | Promise<T>): Promise<T> {
    if (!this.mayAct()) return never();
    await this.world.delay(milliseconds(), source);
    if (!this.#isAlive) return never();
    const outcome = await settled(effect);
    if (this.#answers.happens(shareOfDelayedAnswers)) await this.world.delay(milliseconds(), source);
    if (!this.#isAlive) return never();
    if (!outcome.ok) throw outcome.error;
    return outcome.value;
  }

  #after(clock: Clock, milliseconds: number, task: () => void): Timer {
    if (!this.mayAct()) return { cancel: () => {} };
    const timer = clock.after(milliseconds, () => {
      this.#timers.delete(timer);
      task();
    });
    this.#timers.add(timer);
    return {
      cancel: () => {
        this.#timers.delete(timer);
        timer.cancel();
      },
    };
  }
}

type Settled<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

async function settled<T>(effect: () => T | Promise<T>): Promise<Settled<T>> {
  try {
    return { ok: true, value: await effect() };
  } catch (error) {
    return { ok: false, error };
  }
}
