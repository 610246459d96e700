// The faults of a simulated disk, drawn for each call.
import type { Chance } from '../chance.ts';
import type { World } from '../world.ts';
import { FileError } from './file-error.ts';

/** Each member switches one kind of fault on. They are read at each call, so a run can change them. */
export interface DiskFaults {
  /** Probability that a call takes up to three seconds. */
  readonly slow?: number;
  /** Probability that a call that changes something fails with EIO, before or after its effect. */
  readonly failing?: number;
  /** Probability that a call that changes something finds the disk full, and for up to a minute so do all others. */
  readonly full?: number;
  /** Probability that a write takes place in two steps, so that a process that dies leaves a part of it. */
  readonly divided?: number;
  /** A power failure undoes changes that were not synced, and tears the last write of a file. */
  readonly lossy?: boolean;
}

export type DiskFault = keyof DiskFaults;

const milliseconds = { usual: 2, slow: 3_000, full: 60_000 } as const;

export interface FaultPorts {
  readonly world: World;
  /** The name of the disk's sources. */
  readonly source: string;
  readonly faults: () => DiskFaults;
  readonly injected: (kind: string) => void;
}

export class DrawnFaults {
  readonly #ports: FaultPorts;
  readonly #latency: Chance;
  readonly #order: Chance;
  readonly #slow: Chance;
  readonly #failing: Chance;
  readonly #full: Chance;
  readonly #divided: Chance;
  readonly #lossy: Chance;
  #fullUntil = 0;

  constructor(ports: FaultPorts) {
    const { source, world } = ports;
    this.#ports = ports;
    this.#latency = world.chance(`${source}: latency`);
    this.#order = world.chance(`${source}: order`);
    this.#slow = world.chance(`${source}: slow`);
    this.#failing = world.chance(`${source}: failing`);
    this.#full = world.chance(`${source}: full`);
    this.#divided = world.chance(`${source}: divided`);
    this.#lossy = world.chance(`${source}: lossy`);
  }

  readonly latency = (): number => {
    const usual = this.#latency.number() * milliseconds.usual;
    return this.#happens('slow', this.#slow) ? usual + this.#slow.number() * milliseconds.slow : usual;
  };

  /** Folders are listed in random order, because callers must not rely on an order. */
  readonly shuffled = (names: readonly string[]): string[] => {
    const keyed = names.map((name) => [this.#order.number(), name] as const);
    return keyed.sort(([one], [other]) => one - other).map(([, name]) => name);
  };

  get isFull(): boolean {
    return this.#ports.faults().full !== undefined && this.#ports.world.elapsed < this.#fullUntil;
  }

  /** Runs a call that changes something. */
  change<T>(path: string, effect: () => T): T {
    if (this.#happens('full', this.#full)) {
      this.#fullUntil = this.#ports.world.elapsed + this.#full.number() * milliseconds.full;
    }
    if (!this.#happens('failing', this.#failing)) return effect();
    if (this.#failing.happens(0.5)) effect();
    throw new FileError('EIO', path);
  }

  /** The sizes of the steps in which a write takes place. */
  stepsOf(size: number): readonly number[] {
    if (size < 2 || !this.#happens('divided', this.#divided)) return [size];
    const first = 1 + this.#divided.integer(size - 1);
    return [first, size - first];
  }

  /** Calls `lose` if a power failure loses anything. */
  losePower(lose: (chance: Chance) => number): void {
    if (this.#ports.faults().lossy === true && lose(this.#lossy) > 0) this.#ports.injected('lossy');
  }

  #happens(kind: Exclude<DiskFault, 'lossy'>, chance: Chance): boolean {
    const probability = this.#ports.faults()[kind];
    if (probability === undefined || !chance.happens(probability)) return false;
    this.#ports.injected(kind);
    return true;
  }
}
