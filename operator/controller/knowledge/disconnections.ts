// Notices when a host has been without a session for 60 s, and then has its VMs reconciled: at most 50 a second in
// total, because each may cost a write (design §5).
import type { Clock } from '../../../runtime/clock.ts';
import type { Inventory } from './inventory.ts';
import type { VirtualMachines } from './virtual-machines.ts';

export interface DisconnectionsOptions {
  readonly clock: Clock;
  readonly inventory: Inventory;
  readonly machines: VirtualMachines;
  readonly wakeHost: (nodeName: string) => void;
  readonly wakeMachine: (key: string, afterMilliseconds: number) => void;
}

const spacingMilliseconds = 20;

export class Disconnections {
  readonly #options: DisconnectionsOptions;
  readonly #watched = new Set<string>();
  #nextSlot = 0;

  constructor(options: DisconnectionsOptions) {
    this.#options = options;
  }

  /** Starts the clock at the end of a session or at the start of this operator. */
  watch(nodeName: string): void {
    const { clock, inventory } = this.#options;
    const milliseconds = inventory.untilDisconnected(nodeName);
    if (milliseconds === undefined || this.#watched.has(nodeName)) return;
    if (milliseconds === 0) {
      this.#disconnected(nodeName);
      return;
    }
    this.#watched.add(nodeName);
    clock.after(milliseconds, () => {
      this.#watched.delete(nodeName);
      this.watch(nodeName);
    });
  }

  #disconnected(nodeName: string): void {
    const { clock, machines, wakeHost, wakeMachine } = this.#options;
    wakeHost(nodeName);
    const now = clock.now();
    this.#nextSlot = Math.max(now, this.#nextSlot);
    for (const key of machines.keysOn(nodeName)) {
      wakeMachine(key, this.#nextSlot - now);
      this.#nextSlot += spacingMilliseconds;
    }
  }
}
