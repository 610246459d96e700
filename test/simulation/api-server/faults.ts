// The faults of the simulated API server, each drawn from a stream of its own for each process.
import type { Chance } from '../chance.ts';
import type { World } from '../world.ts';

/** The usual probability of each fault: for a request, for a list, or for a watch. */
export const usualProbabilities = {
  /** The request waits up to ten seconds for a connection, and may not be sent any more. */
  'request waits': 0.01,
  'request slow': 0.02,
  /** The connection breaks before the server receives the request. */
  'request lost': 0.01,
  /** The connection breaks, and the request takes effect up to 20 s later. */
  'request late': 0.005,
  /** The connection is half open: no answer comes, and the request has an effect or has none. */
  'request unanswered': 0.003,
  /** The connection breaks after the effect. */
  'answer lost': 0.01,
  unauthorized: 0.005,
  'too many requests': 0.01,
  'internal error': 0.01,
  unavailable: 0.01,
  /** The server does not hear from etcd in time: the request has an effect or has none. */
  'etcd timeout': 0.005,
  /** Somebody annotates the object right before a write. */
  'foreign write': 0.02,
  /** A list shows the state of up to eight seconds ago. */
  'stale list': 0.3,
  'small pages': 0.3,
  /** The version of a list that continues is no longer known. */
  'expired list': 0.3,
  'watch slow': 0.2,
  'watch lost': 0.2,
  'watch silent': 0.1,
  /** The watched version is no longer known: as the answer's code, or as an event. */
  'watch refused': 0.05,
  'watch gone': 0.1,
} as const;

export type ApiFault = keyof typeof usualProbabilities;

export interface ApiServerSettings {
  /** The probability of each fault; a fault without one does not occur. */
  readonly faults?: Readonly<Partial<Record<ApiFault, number>>>;
  /** Of a request, of its answer, and of an event of a watch. */
  readonly latencyMilliseconds?: { readonly minimum: number; readonly spread: number };
}

const usualLatency = { minimum: 1, spread: 9 } as const;

export class Faults {
  readonly #world: World;
  readonly #settings: ApiServerSettings;
  readonly #injected: (kind: string) => void;
  readonly #chances = new Map<string, Chance>();
  readonly #byProcess = new Map<string, Map<ApiFault, Chance>>();
  #areOver = false;

  constructor(world: World, settings: ApiServerSettings, injected: (kind: string) => void) {
    this.#world = world;
    this.#settings = settings;
    this.#injected = injected;
  }

  /** From now on, no fault occurs. */
  end(): void {
    this.#areOver = true;
  }

  count(fault: ApiFault | 'restart' | 'restore' | 'partition'): void {
    this.#injected(`api: ${fault}`);
  }

  /** The stream of a source, which continues when a process of that name starts again. */
  chance(source: string): Chance {
    const known = this.#chances.get(source);
    if (known !== undefined) return known;
    const chance = this.#world.chance(`api: ${source}`);
    this.#chances.set(source, chance);
    return chance;
  }

  /** Which of these faults occurs, if any. Each is drawn, so that none moves the draws of another. */
  first<T extends ApiFault>(faults: readonly T[], process: string): T | undefined {
    return faults.filter((fault) => this.happens(fault, process))[0];
  }

  happens(fault: ApiFault, process: string): boolean {
    const probability = this.#areOver ? undefined : this.#settings.faults?.[fault];
    return probability !== undefined && this.chanceOf(fault, process).happens(probability);
  }

  /** For what else must be drawn for a fault. */
  chanceOf(fault: ApiFault, process: string): Chance {
    const chances = this.#byProcess.get(process) ?? new Map<ApiFault, Chance>();
    if (chances.size === 0) this.#byProcess.set(process, chances);
    const chance = chances.get(fault) ?? this.chance(`${fault} of ${process}`);
    chances.set(fault, chance);
    return chance;
  }

  /** Mostly short, and sometimes nearly as long as `minimum` + `spread`. */
  latency(process: string): number {
    const { minimum, spread } = this.#settings.latencyMilliseconds ?? usualLatency;
    return minimum + spread * this.chance(`latency of ${process}`).number() ** 3;
  }
}
