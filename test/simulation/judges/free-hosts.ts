// Hosts that certainly fit a VM of a set, as every operator has to know: they have been there, connected and open to all
// VMs for a while, and have room.
import type { StoredObject } from '../api-server/objects.ts';
import type { SimulatedMachine } from '../system/simulated-machine.ts';
import type { SimulatedSystem } from '../system/system.ts';
import { limitOf } from './room.ts';
import { membersOf, numberOf } from './set-rules.ts';

export interface FreeHostsOptions {
  readonly system: () => SimulatedSystem;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** For how long an operator may not know what others wrote, in milliseconds. */
  readonly lag: number;
}

/** No VM of a set has more. */
const usualMemory = 4_096;

export class FreeHosts {
  readonly #options: FreeHostsOptions;
  /** By name of the Node: when it changed last. */
  readonly #changed = new Map<string, number>();
  /** By name of the host: when an operator read the first message of its agent's session. */
  readonly #greeted = new Map<string, number>();

  constructor(options: FreeHostsOptions) {
    this.#options = options;
  }

  wroteNode(node: StoredObject | undefined): void {
    if (node !== undefined) this.#changed.set(node.metadata.name, this.#options.now());
  }

  read(text: string, host: string): void {
    if (text.startsWith('{"type":"hello"')) this.#greeted.set(host, this.#options.now());
  }

  /** Names of the hosts that every operator knows, and whose Nodes it knows. */
  known(): readonly string[] {
    const { users } = this.#options.system().api;
    return users.list('LinuxUtilityVMHost').flatMap((host) => {
      const node = users.get('Node', { name: host.metadata.name });
      return node !== undefined && [host, node].every((each) => this.#isOld(each)) ? [host.metadata.name] : [];
    });
  }

  /** The name of another host that fits; undefined if none certainly does. */
  beside(name: string): string | undefined {
    const system = this.#options.system();
    const machines = system.api.users.list('LinuxUtilityVM').map(roomOf);
    if (machines.some(({ memory }) => memory > usualMemory)) return undefined;
    const known = this.known();
    const free = system.machines.find(
      (machine) => machine.name !== name && known.includes(machine.name) && this.#isFree(system, machine, machines),
    );
    return free?.name;
  }

  #isFree(system: SimulatedSystem, machine: SimulatedMachine, machines: readonly Room[]): boolean {
    const { name } = machine;
    const { lag, now } = this.#options;
    const isSettled = [this.#changed.get(name), this.#greeted.get(name)].every((at = now()) => at <= now() - lag);
    const { taints, unschedulable } = membersOf(system.api.users.get('Node', { name })?.['spec']);
    const isOpen = unschedulable !== true && (!Array.isArray(taints) || taints.length === 0);
    if (!isSettled || !isOpen || system.network.connectedFor(name) < lag) return false;
    // The others may be about to be placed there.
    return machines.filter(({ host }) => host === name || host === undefined).length < limitOf(system, machine);
  }

  #isOld({ metadata }: StoredObject): boolean {
    return Date.parse(metadata.creationTimestamp) <= this.#options.now() - this.#options.lag;
  }
}

interface Room {
  readonly host: unknown;
  /** The most that its manifest or its agent says, in MB. */
  readonly memory: number;
}

function roomOf({ spec, status }: StoredObject): Room {
  const { memorySizeInMB, nodeName } = membersOf(status);
  const { sizeInMB } = membersOf(membersOf(spec)['memory']);
  return { host: nodeName, memory: Math.max(numberOf(memorySizeInMB), numberOf(sizeInMB)) };
}
