// When which guest's log is read on. Reading takes the agent's one thread, and a guest decides what it reads: so all guests
// are served in turn, each with one slice at a time, and all together for no longer than a few milliseconds before whatever
// else is ready (control messages, probes, the boots of other VMs) has its turn. A guest whose turn has not come is not
// read from its socket: it waits, and nothing of it is lost.
import { performance } from 'node:perf_hooks';
import { ByteBudget } from '../../bounds/byte-budget.ts';
import { fixedTimes } from '../../bounds/timeouts.ts';

/** What is read of one guest in a turn of the event loop. */
export interface Slice {
  readonly bytes: number;
  /** Records, or lines of text: a slice may consist of thousands of them. */
  readonly steps: number;
}

/** While other guests wait. */
export const sharedSlice: Slice = { bytes: 16 * 1024, steps: 256 };
/** While none waits: each slice is a write to the file and a message to whoever follows, however few its lines are. */
export const loneSlice: Slice = { bytes: 64 * 1024, steps: 1024 };

export interface LogTurnPorts {
  /** Calls back once everything else that is ready was served. */
  readonly afterOthers: (run: () => void) => void;
  /** Milliseconds since any moment. */
  readonly now: () => number;
}

const systemPorts: LogTurnPorts = {
  afterOthers: (run) => setImmediate(run),
  now: () => performance.now(),
};

/** Of all guests together: values and texts whose end has not come. */
const maxHeldBytes = 32 << 20;

export class LogTurns {
  readonly held: ByteBudget;
  readonly #ports: LogTurnPorts;
  /** One slice of each guest that has something to be read, whoever waits longest first. */
  #waiting: (() => void)[] = [];
  /** Something was served since others had their turn, or waits for that. */
  #isBusy = false;

  constructor(ports: LogTurnPorts = systemPorts, heldBytes = maxHeldBytes) {
    this.#ports = ports;
    this.held = new ByteBudget(heldBytes);
  }

  /** Guests that wait for their turn. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** For a guest that has something to be read. */
  get slice(): Slice {
    return this.#waiting.length === 0 ? loneSlice : sharedSlice;
  }

  /** Runs the slice when its turn has come, which is at once when no guest was served just now. */
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

  /** What is asked for meanwhile is for a later turn. */
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
