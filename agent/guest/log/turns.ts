// Decides which guest's log is read next. Reading takes the agent's only thread, and a guest decides how much there is
// to read. So all guests are served in turn, one slice each, and all together for at most a few milliseconds before
// everything else that is ready (control messages, probes, the boots of other VMs) gets its turn. The sockets of guests
// that wait are not read: those guests block, and no data is lost.
import { performance } from 'node:perf_hooks';
import { ByteBudget } from '../../bounds/byte-budget.ts';
import { fixedTimes } from '../../bounds/timeouts.ts';

/** The most that is read from one guest in a turn of the event loop. */
export interface Slice {
  readonly bytes: number;
  /** Records or lines of text: a slice may consist of thousands of them. */
  readonly steps: number;
}

/** Used while other guests wait. */
export const sharedSlice: Slice = { bytes: 16 * 1024, steps: 256 };
/**
 * Used while no other guest waits. Larger, because each slice costs a write to the file and a message to each follower,
 * however few lines it has.
 */
export const loneSlice: Slice = { bytes: 64 * 1024, steps: 1024 };

export interface LogTurnPorts {
  /** Calls `run` once everything else that is ready was served. */
  readonly afterOthers: (run: () => void) => void;
  /** Milliseconds since an arbitrary moment. */
  readonly now: () => number;
}

export const systemTurns: LogTurnPorts = {
  afterOthers: (run) => setImmediate(run),
  now: () => performance.now(),
};

/** Most bytes of incomplete values and texts, of all guests together. */
const maxHeldBytes = 32 << 20;

export class LogTurns {
  readonly held: ByteBudget;
  readonly #ports: LogTurnPorts;
  /** One slice for each guest that has data, longest waiting first. */
  #waiting: (() => void)[] = [];
  /** True from serving slices until everything else had its turn. */
  #isBusy = false;

  constructor(ports: LogTurnPorts = systemTurns, heldBytes = maxHeldBytes) {
    this.#ports = ports;
    this.held = new ByteBudget(heldBytes);
  }

  /** Guests that wait for their turn. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** The slice for a guest that has data. */
  get slice(): Slice {
    return this.#waiting.length === 0 ? loneSlice : sharedSlice;
  }

  /** Runs the slice when its turn comes: at once if no guest was served just now. */
  take<T>(slice: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting.push(() => {
      try {
        resolve(slice());
      } catch (error) {
        reject(error);
      }
    });
    if (!this.#isBusy) this.#serve();
    return promise;
  }

  /** Slices that are requested meanwhile wait for a later turn. */
  #serve(): void {
    const { afterOthers, now } = this.#ports;
    const served = this.#waiting;
    this.#waiting = [];
    this.#isBusy = served.length > 0;
    if (!this.#isBusy) return;
    const end = now() + fixedTimes.guest.logTurn;
    let count = 0;
    do served[count]?.();
    while (++count < served.length && now() < end);
    if (count < served.length) this.#waiting = [...served.slice(count), ...this.#waiting];
    afterOthers(() => this.#serve());
  }
}
