// One watch: the changes of a collection, in order, on a connection that delays them and may break.
import type { Timer } from '../../../runtime/clock.ts';
import type { Process } from '../process.ts';
import type { Change } from './collection.ts';
import type { ApiFault, Faults } from './faults.ts';
import { LineQueue } from './line-queue.ts';
import { Refusal } from './refusal.ts';

export interface WatchConnectionOptions {
  readonly process: Process;
  readonly faults: Faults;
  /** The revision from which the client watches, and the one of the store now, for bookmarks. */
  readonly from: number;
  readonly revision: () => number;
  readonly apiVersion: string;
  readonly kind: string;
  readonly timeoutMilliseconds: number;
  readonly idleMilliseconds: number;
  readonly signal: AbortSignal | undefined;
  /** Called once. */
  readonly onEnd: (watch: WatchConnection) => void;
}

interface Pending {
  readonly at: number;
  readonly line: string;
}

const bookmarks = { milliseconds: 57_000, spread: 6_000, beforeEndMilliseconds: 2_000 } as const;
/** The worst lag of a slow watch. */
const slowMilliseconds = 10_000;
/** After this long, the server has given up a connection that does not acknowledge anything. */
const longestPartitionMilliseconds = 60_000;

const faultsWhileOpen = ['watch lost', 'watch silent', 'watch gone'] as const;

export class WatchConnection {
  readonly lines = new LineQueue(() => this.end());
  readonly process: Process;
  readonly #options: WatchConnectionOptions;
  readonly #source: string;
  readonly #lag: () => number;
  readonly #pending: Pending[] = [];
  readonly #timers: Timer[] = [];
  readonly #abort = () => this.end(new Error('the request was given up'));
  #delivery: Timer | undefined;
  #bookmark: Timer | undefined;
  #idle: Timer | undefined;
  #arrivedAt: number;
  #heldSince: number | undefined;
  #isSilent = false;
  #isLost = false;
  #hasEnded = false;

  constructor(options: WatchConnectionOptions) {
    const { process, faults, timeoutMilliseconds, signal } = options;
    this.#options = options;
    this.process = process;
    this.#source = `api: watch of ${process.name}`;
    this.#arrivedAt = process.world.elapsed;
    const isSlow = faults.happens('watch slow', process.name);
    if (isSlow) faults.count('watch slow');
    const slow = faults.chanceOf('watch slow', process.name);
    this.#lag = () => faults.latency(process.name) + (isSlow ? slowMilliseconds * slow.number() ** 2 : 0);
    this.#timers.push(process.world.after(timeoutMilliseconds, this.#source, () => this.end()));
    const last = timeoutMilliseconds - bookmarks.beforeEndMilliseconds;
    if (last > 0) this.#timers.push(process.world.after(last, this.#source, () => this.#sendBookmark()));
    for (const fault of faultsWhileOpen) this.#plan(fault);
    this.#bookmarkLater();
    this.#awaitLine();
    signal?.addEventListener('abort', this.#abort, { once: true });
  }

  send({ type, version }: Pick<Change, 'type' | 'version'>): void {
    this.#send(`{"type":"${type}","object":${version.text}}`);
  }

  refuse(refusal: Refusal): void {
    this.#send(JSON.stringify({ type: 'ERROR', object: refusal.status }));
  }

  /** Nothing arrives until the network is whole again. */
  hold(): void {
    this.#heldSince ??= this.process.world.elapsed;
  }

  release(): void {
    if (this.#heldSince === undefined) return;
    const milliseconds = this.process.world.elapsed - this.#heldSince;
    this.#heldSince = undefined;
    if (this.#isLost || milliseconds > longestPartitionMilliseconds) this.end(broken());
    else this.#deliverLater();
  }

  /** The server has gone. A process that is cut off does not notice before the network is whole again. */
  lose(): void {
    this.#isLost = true;
    if (this.#heldSince === undefined) this.end(broken());
  }

  /** Ends the answer for its reader. What has not arrived never does. */
  end(error?: Error): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const timers = [...this.#timers, this.#delivery, this.#bookmark, this.#idle];
    for (const timer of timers) timer?.cancel();
    this.#options.signal?.removeEventListener('abort', this.#abort);
    this.#pending.length = 0;
    this.#options.onEnd(this);
    // A dead process reads no more, not even that its watch has ended.
    if (this.process.isAlive) this.process.whenRunning(() => this.lines.end(error));
  }

  #send(line: string): void {
    if (this.#hasEnded || this.#isSilent || this.#isLost) return;
    const soonest = this.#pending.at(-1)?.at ?? 0;
    this.#pending.push({ at: Math.max(soonest, this.process.world.elapsed + this.#lag()), line });
    this.#deliverLater();
  }

  #deliverLater(): void {
    const [next] = this.#pending;
    if (next === undefined || this.#delivery !== undefined || this.#heldSince !== undefined) return;
    const { world } = this.process;
    this.#delivery = world.after(next.at - world.elapsed, this.#source, () => this.#deliver());
  }

  #deliver(): void {
    this.#delivery = undefined;
    if (this.#heldSince !== undefined || this.#isSilent) return;
    if (this.process.isHeld) {
      this.process.whenRunning(() => this.#deliverLater());
      return;
    }
    const { elapsed } = this.process.world;
    this.#arrivedAt = elapsed;
    for (let next = this.#pending[0]; next !== undefined && next.at <= elapsed; next = this.#pending[0]) {
      this.#pending.shift();
      this.lines.push(next.line);
    }
    this.#deliverLater();
  }

  #bookmarkLater(): void {
    const { process, faults } = this.#options;
    const pause = bookmarks.milliseconds + faults.chance(`bookmarks of ${process.name}`).integer(bookmarks.spread);
    this.#bookmark = process.world.after(pause, this.#source, () => {
      this.#sendBookmark();
      this.#bookmarkLater();
    });
  }

  /** Only if something was written since: after a restore, the store may not even have reached the watched revision. */
  #sendBookmark(): void {
    const { from, revision, apiVersion, kind } = this.#options;
    const now = revision();
    if (now <= from) return;
    const object = { apiVersion, kind, metadata: { resourceVersion: String(now), creationTimestamp: null } };
    this.#send(JSON.stringify({ type: 'BOOKMARK', object }));
  }

  /** The client's bound on silence. */
  #awaitLine(): void {
    const { process, idleMilliseconds } = this.#options;
    const left = this.#arrivedAt + idleMilliseconds - process.world.elapsed;
    this.#idle = process.clock.after(left, () => {
      if (process.world.elapsed - this.#arrivedAt >= idleMilliseconds) this.end(new Error('Body Timeout Error'));
      else this.#awaitLine();
    });
  }

  #plan(fault: (typeof faultsWhileOpen)[number]): void {
    const { process, faults, timeoutMilliseconds } = this.#options;
    if (!faults.happens(fault, process.name)) return;
    const at = timeoutMilliseconds * faults.chanceOf(fault, process.name).number();
    this.#timers.push(process.world.after(at, this.#source, () => this.#break(fault)));
  }

  #break(fault: ApiFault): void {
    this.#options.faults.count(fault);
    if (fault === 'watch lost') this.lose();
    if (fault === 'watch silent') this.#isSilent = true;
    if (fault === 'watch gone') this.refuse(new Refusal('Expired', 'the watched version is too old'));
  }
}

function broken(): Error {
  return new Error('other side closed');
}
