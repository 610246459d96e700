// Whether the machine behind a host can still run VMs (design §5). It cannot when its Node carries the out-of-service taint
// (fencing is the cluster's job) or is gone: a live read has said 404 for 60 s. While its agent is connected it always can.
import type { Clock } from '../../protocol/clock.ts';
import { isNotFound, type Outcome } from '../kubernetes/api-error.ts';
import type { Node } from '../kubernetes/objects.ts';
import type { Lookup } from './fleet.ts';
import type { Inventory } from './inventory.ts';
import { isOutOfService } from './placement.ts';

export type Fate = 'MayRun' | 'OutOfService' | 'Gone';

const goneAfterMilliseconds = 60_000;
/** Many VMs of one host ask at once. */
const readValidMilliseconds = 5_000;

interface Absence {
  readonly since: number;
  readonly readAt: number;
}

export class NodeFates {
  readonly #nodes: Lookup<Node>;
  readonly #inventory: Inventory;
  readonly #read: (nodeName: string) => Promise<Outcome<Node>>;
  readonly #clock: Clock;
  readonly #absences = new Map<string, Absence>();

  constructor(
    nodes: Lookup<Node>,
    inventory: Inventory,
    read: (nodeName: string) => Promise<Outcome<Node>>,
    clock: Clock,
  ) {
    this.#nodes = nodes;
    this.#inventory = inventory;
    this.#read = read;
    this.#clock = clock;
  }

  async of(nodeName: string): Promise<Fate> {
    if (this.#inventory.isConnected(nodeName)) return this.#exists(nodeName);
    const cached = this.#nodes.get(nodeName);
    if (cached !== undefined) return isOutOfService(cached) ? 'OutOfService' : this.#exists(nodeName);
    return this.#whenAbsent(nodeName);
  }

  #exists(nodeName: string): Fate {
    this.#absences.delete(nodeName);
    return 'MayRun';
  }

  async #whenAbsent(nodeName: string): Promise<Fate> {
    const known = this.#absences.get(nodeName);
    const now = this.#clock.now();
    if (known === undefined || now - known.readAt > readValidMilliseconds) {
      const live = await this.#read(nodeName);
      if (live.ok) return this.#exists(nodeName);
      if (!isNotFound(live.error)) return 'MayRun';
    }
    const absence = this.#absences.get(nodeName) ?? { since: now, readAt: now };
    this.#absences.set(nodeName, { since: absence.since, readAt: now });
    return now - absence.since >= goneAfterMilliseconds && !this.#inventory.isConnected(nodeName) ? 'Gone' : 'MayRun';
  }
}
