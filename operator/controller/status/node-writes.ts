// How much one agent may make the operator store (docs/design.md §10): bytes of written objects, by node, over all its
// sessions. A host with many VMs may write more. Writes beyond the limit are delayed; decisions of the operator never
// are.
import type { Clock } from '../../../runtime/clock.ts';

export const nodeWriteLimits = {
  bytesPerSecond: 8 * 1024,
  bytesPerSecondAndVirtualMachine: 64,
  burstBytes: 192 * 1024,
  burstBytesOfVirtualMachine: 32 * 1024,
  /** Shortest time between two writes of a host's facts. */
  factsMilliseconds: 60_000,
} as const;

/** Beyond this number, the nodes that wrote longest ago are forgotten, as if they had written nothing. */
const mostNodes = 10_000;

interface Account {
  /** Bytes that were written and not yet earned back. */
  owed: number;
  at: number;
  factsAt: number | undefined;
}

export class NodeWrites {
  readonly #clock: Clock;
  readonly #virtualMachinesOn: (nodeName: string) => number;
  readonly #accounts = new Map<string, Account>();

  constructor(clock: Clock, virtualMachinesOn: (nodeName: string) => number) {
    this.#clock = clock;
    this.#virtualMachinesOn = virtualMachinesOn;
  }

  /** Milliseconds until another write for the node is allowed: 0 if it is allowed now. */
  remaining(nodeName: string): number {
    const account = this.#accounts.get(nodeName);
    if (account === undefined) return 0;
    const { burst, perSecond } = this.#ratesOf(nodeName);
    this.#earn(account, perSecond);
    return Math.max(0, Math.ceil(((account.owed - burst) * 1_000) / perSecond));
  }

  /** The same for the facts of its host. */
  factsRemaining(nodeName: string): number {
    const factsAt = this.#accounts.get(nodeName)?.factsAt;
    if (factsAt === undefined) return 0;
    const passed = Math.max(0, this.#clock.now() - factsAt);
    return Math.max(0, nodeWriteLimits.factsMilliseconds - passed);
  }

  wrote(nodeName: string, stored: unknown): void {
    const account = this.#accountOf(nodeName);
    this.#earn(account, this.#ratesOf(nodeName).perSecond);
    account.owed += Buffer.byteLength(JSON.stringify(stored) ?? '');
  }

  wroteFacts(nodeName: string): void {
    this.#accountOf(nodeName).factsAt = this.#clock.now();
  }

  #accountOf(nodeName: string): Account {
    const account = this.#accounts.get(nodeName) ?? { owed: 0, at: this.#clock.now(), factsAt: undefined };
    this.#accounts.delete(nodeName);
    this.#accounts.set(nodeName, account);
    for (const oldest of this.#accounts.keys()) {
      if (this.#accounts.size <= mostNodes) break;
      this.#accounts.delete(oldest);
    }
    return account;
  }

  #earn(account: Account, perSecond: number): void {
    const now = this.#clock.now();
    account.owed = Math.max(0, account.owed - (Math.max(0, now - account.at) * perSecond) / 1_000);
    account.at = now;
  }

  #ratesOf(nodeName: string): { readonly perSecond: number; readonly burst: number } {
    const { burstBytes, burstBytesOfVirtualMachine, bytesPerSecond, bytesPerSecondAndVirtualMachine } = nodeWriteLimits;
    const virtualMachines = this.#virtualMachinesOn(nodeName);
    return {
      perSecond: bytesPerSecond + virtualMachines * bytesPerSecondAndVirtualMachine,
      burst: burstBytes + virtualMachines * burstBytesOfVirtualMachine,
    };
  }
}
