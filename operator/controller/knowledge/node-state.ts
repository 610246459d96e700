// Whether the computer behind a host can still run VMs (design §5). It cannot when its Node has the out-of-service
// taint (fencing is the cluster's task), or when the Node is gone: for 60 s live reads have returned 404, or another
// uid than the last session proved. A computer whose agent is connected always can.
import type { Clock } from '../../../runtime/clock.ts';
import { isNotFound, type Outcome } from '../../kubernetes/api-error.ts';
import type { Host, Node } from '../../kubernetes/objects.ts';
import type { Inventory } from './inventory.ts';
import type { Lookup } from './lookup.ts';
import { isOutOfService } from './taints.ts';

export type NodeState = 'MayRun' | 'OutOfService' | 'Gone';

const goneAfterMilliseconds = 60_000;
/** Many VMs of one host ask at the same time. */
const readValidMilliseconds = 5_000;

interface Absence {
  readonly since: number;
  readonly readAt: number;
}

export class NodeStates {
  readonly #nodes: Lookup<Node>;
  readonly #inventory: Inventory;
  readonly #read: (nodeName: string) => Promise<Outcome<Node>>;
  readonly #clock: Clock;
  readonly #hosts: Lookup<Host>;
  readonly #absences = new Map<string, Absence>();

  constructor(
    nodes: Lookup<Node>,
    hosts: Lookup<Host>,
    inventory: Inventory,
    read: (nodeName: string) => Promise<Outcome<Node>>,
    clock: Clock,
  ) {
    this.#nodes = nodes;
    this.#hosts = hosts;
    this.#inventory = inventory;
    this.#read = read;
    this.#clock = clock;
  }

  async of(nodeName: string): Promise<NodeState> {
    if (this.#inventory.isConnected(nodeName)) return this.#exists(nodeName);
    const cached = this.#nodes.get(nodeName);
    if (cached !== undefined && isOutOfService(cached)) return 'OutOfService';
    if (cached !== undefined && this.#isTheSame(cached)) return this.#exists(nodeName);
    return this.#whenAbsent(nodeName);
  }

  /** Also true when it is unknown which Node the session proved. */
  #isTheSame({ metadata }: Node): boolean {
    const known = this.#hosts.get(metadata.name)?.status.session?.nodeUID;
    return known === undefined || known === metadata.uid;
  }

  #exists(nodeName: string): NodeState {
    this.#absences.delete(nodeName);
    return 'MayRun';
  }

  async #whenAbsent(nodeName: string): Promise<NodeState> {
    const known = this.#absences.get(nodeName);
    const now = this.#clock.now();
    if (known === undefined || now - known.readAt > readValidMilliseconds) {
      const live = await this.#read(nodeName);
      if (live.ok && this.#isTheSame(live.value)) return this.#exists(nodeName);
      if (!live.ok && !isNotFound(live.error)) return 'MayRun';
    }
    const absence = this.#absences.get(nodeName) ?? { since: now, readAt: now };
    this.#absences.set(nodeName, { since: absence.since, readAt: now });
    return now - absence.since >= goneAfterMilliseconds && !this.#inventory.isConnected(nodeName) ? 'Gone' : 'MayRun';
  }
}
