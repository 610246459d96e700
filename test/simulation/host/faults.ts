// What can go wrong on a simulated host, how often, and the chance of each kind.
import type { Chance } from '../chance.ts';
import type { World } from '../world.ts';

/** Each kind of fault, with what its probability is of. */
export interface HostFaults {
  /** Of each call of HCS: seconds to minutes pass before it takes effect. */
  readonly slowCall: number;
  /** Of each call of HCS: it fails without an effect. */
  readonly failingCall: number;
  /** The same, with the error of a time-out. */
  readonly timedOutCall: number;
  /** The same, with E_ACCESSDENIED. */
  readonly deniedCall: number;
  /** Of each call that changes a system: it takes effect, and its answer is an error. */
  readonly failingAnswer: number;
  /** Of each call on a system, and of each creation: it does not return before the system ends or is terminated. */
  readonly hangingCall: number;
  /** Of each call that only reads, also of files: it does not return. */
  readonly hangingQuery: number;
  /** Of each enumeration: it takes up to a minute. */
  readonly slowEnumeration: number;
  /** Of each creation and start: the host lacks memory or other resources. */
  readonly lackingCapacity: number;
  /** Of each creation: HCS refuses a correct document. The agent believes it, so the VM stays stalled. */
  readonly refusedDocument: number;
  /** Of each exit of a system and handle: the event comes up to a minute late. */
  readonly lateExitEvent: number;
  /** Of each exit of a system and handle: the event does not come. */
  readonly lostExitEvent: number;
  /** Of each agent that dies: HCS notices it only seconds later. */
  readonly slowRunDown: number;
  /** Of each minute: the compute service restarts; its clients lose their handles, and its systems stay. */
  readonly serviceRestart: number;
  /** Of each call that concerns a file. */
  readonly slowFileCall: number;
  readonly failingFileCall: number;
  /** Of each minute: a boot file is missing for up to five minutes. */
  readonly missingBootFile: number;
  /** Of each minute: a boot file is replaced by another one. */
  readonly replacedBootFile: number;
  /** Of each start of a system: its guest ends at some time within ten minutes. */
  readonly guestCrash: number;
  readonly guestPanic: number;
  readonly guestPowerOff: number;
  /** Of each step of a boot: the guest hangs in it. */
  readonly hangingBoot: number;
  /** Of each step of a guest: it takes up to thirty seconds. */
  readonly slowGuest: number;
  /** Of each connection of a guest: it fails, whether or not somebody listens. */
  readonly refusedConnection: number;
  /** Of each request to a guest that changes something: the guest refuses. */
  readonly refusingGuest: number;
  /** Of each start of a system, at some time within ten minutes: */
  readonly droppedBridge: number;
  readonly floodedLog: number;
  readonly pausedSystem: number;
}

export type HostFault = keyof HostFaults;

export interface DrawOptions {
  readonly world: World;
  readonly host: string;
  /** Called for each fault that happens. */
  readonly injected: (fault: HostFault) => void;
}

/** Decides which faults happen. Each kind has a chance of its own, so that one that is left out changes no other. */
export class FaultDraws {
  /** Absent kinds never happen. */
  faults: Partial<HostFaults> = {};
  readonly #options: DrawOptions;
  readonly #chances = new Map<HostFault, Chance>();

  constructor(options: DrawOptions) {
    this.#options = options;
  }

  isEnabled(fault: HostFault): boolean {
    return (this.faults[fault] ?? 0) > 0;
  }

  /** Whether the fault happens now. */
  happens(fault: HostFault): boolean {
    const isDrawn = this.isPlanned(fault);
    if (isDrawn) this.inject(fault);
    return isDrawn;
  }

  /** Whether the fault will happen. `inject` counts it when it does. */
  isPlanned(fault: HostFault): boolean {
    return this.isEnabled(fault) && this.chance(fault).happens(this.faults[fault] ?? 0);
  }

  inject(fault: HostFault): void {
    this.#options.injected(fault);
  }

  /** For the details of a fault. */
  chance(fault: HostFault): Chance {
    const { host, world } = this.#options;
    const known = this.#chances.get(fault) ?? world.chance(`${host}: ${fault}`);
    this.#chances.set(fault, known);
    return known;
  }
}
