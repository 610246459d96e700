// A simulated process. Everything that an operator or an agent does passes through the ports of its process. When the
// process dies, none of its remaining calls has an effect.
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Chance } from './chance.ts';
import type { Fate, Moment } from './fates.ts';
import type { World } from './world.ts';

/** The promise that a dead process awaits. */
export function never<T>(): Promise<T> {
  return new Promise(() => {});
}

export const called = (operation: string) => `call ${operation}`;
export const crashPoint = (when: Moment, operation: string) => `crash ${when} ${operation}`;

/** Each delay takes time to simulate, so most answers come at once after the effect. */
const shareOfDelayedAnswers = 0.25;

export class Process {
  readonly name: string;
  readonly world: World;
  readonly clock: Clock;
  readonly #onDeath: (() => void)[] = [];
  readonly #timers = new Set<Timer>();
  readonly #answers: Chance;
  readonly #fate: Fate | undefined;
  /** What waits until the process goes on; undefined while it is not held. */
  #held: (() => void)[] | undefined;
  readonly #onResume: (() => void)[] = [];
  #isAlive = true;
  /** The calls that have not taken effect yet, and the last one that has. */
  readonly #waiting: string[] = [];
  #lastEffect: string | undefined;
  /** How often the process touched a port after its death. */
  touchedAfterDeath = 0;

  constructor(world: World, name: string, offset?: () => number, fate?: Fate) {
    this.world = world;
    this.name = name;
    this.#fate = fate;
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
    for (const operation of this.#waiting) this.world.reach(crashPoint('before', operation));
    if (this.#lastEffect !== undefined) this.world.reach(crashPoint('after', this.#lastEffect));
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    for (const task of this.#onDeath.splice(0)) task();
  }

  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  /** The process gets no processor, as when its machine is paused: nothing reaches it until it goes on. */
  hold(): void {
    if (this.#isAlive) this.#held ??= [];
  }

  resume(): void {
    const tasks = [...(this.#held ?? []), ...(this.isHeld ? this.#onResume : [])];
    this.#held = undefined;
    for (const task of tasks) {
      this.world.after(0, `${this.name} goes on`, () => {
        if (this.#isAlive) this.whenRunning(task);
      });
    }
  }

  /** Runs `task` at once, or when the process goes on. */
  whenRunning(task: () => void): void {
    if (this.#held === undefined) task();
    else this.#held.push(task);
  }

  /** Calls `task` each time the process goes on. */
  onResume(task: () => void): void {
    this.#onResume.push(task);
  }

  /** Whether a port may act for the process. Counts the attempts of a dead process. */
  mayAct(): boolean {
    if (!this.#isAlive) this.touchedAfterDeath += 1;
    return this.#isAlive;
  }

  /**
   * A call of a port: it takes effect after a delay, and sometimes its answer takes as long again. The process may die
   * before the effect, or between the effect and a delayed answer. `operation` names the call among others of its
   * port.
   */
  async call<T>(
    operation: string,
    source: string,
    milliseconds: () => number,
    effect: () => T | Promise<T>,
  ): Promise<T> {
    if (!this.mayAct()) return never();
    this.world.reach(called(operation));
    this.#waiting.push(operation);
    await this.world.delay(milliseconds(), source);
    if (!this.#isAlive) return never();
    const moment = this.#fate?.at(operation);
    if (moment === 'before') return this.#dieIn(operation, moment);
    this.#waiting.splice(this.#waiting.indexOf(operation), 1);
    this.#lastEffect = operation;
    const outcome = await settled(effect);
    if (moment === 'after') return this.#dieIn(operation, moment);
    if (this.#answers.happens(shareOfDelayedAnswers)) await this.world.delay(milliseconds(), source);
    await new Promise<void>((resolve) => this.whenRunning(resolve));
    if (!this.#isAlive) return never();
    if (!outcome.ok) throw outcome.error;
    return outcome.value;
  }

  #dieIn(operation: string, moment: Moment): Promise<never> {
    this.world.note(`${this.name} dies ${moment} ${operation}`);
    this.#fate?.strike();
    return never();
  }

  #after(clock: Clock, milliseconds: number, task: () => void): Timer {
    if (!this.mayAct()) return { cancel: () => {} };
    let isCancelled = false;
    const timer = clock.after(milliseconds, () => {
      this.#timers.delete(timer);
      this.whenRunning(() => {
        if (!isCancelled) task();
      });
    });
    this.#timers.add(timer);
    return {
      cancel: () => {
        isCancelled = true;
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
