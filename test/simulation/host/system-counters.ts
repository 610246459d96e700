// How often systems were created, started and terminated, for judges.
import type { SystemId } from '../../../agent/node/backend.ts';

export interface SystemCounts {
  readonly creates: number;
  readonly starts: number;
  /** Requests that took effect. */
  readonly terminates: number;
}

export class SystemCounters {
  readonly #counts = new Map<SystemId, SystemCounts>();

  get counts(): ReadonlyMap<SystemId, SystemCounts> {
    return this.#counts;
  }

  created(id: SystemId): void {
    this.#add(id, 'creates');
  }

  started(id: SystemId): void {
    this.#add(id, 'starts');
  }

  terminated(id: SystemId): void {
    this.#add(id, 'terminates');
  }

  #add(id: SystemId, what: keyof SystemCounts): void {
    const counts = this.#counts.get(id) ?? { creates: 0, starts: 0, terminates: 0 };
    this.#counts.set(id, { ...counts, [what]: counts[what] + 1 });
  }
}
