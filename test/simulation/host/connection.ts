// What an agent's process has of the compute service: its calls and its handles. When the process dies or disconnects,
// the service closes its handles; when the service restarts, it forgets them.
import type { SystemEnd, SystemExit, SystemId } from '../../../agent/node/backend.ts';
import { HcsError, hresult } from '../../../agent/node/hcs-error.ts';
import type { SimulatedNode } from '../../../simulator/service/node.ts';
import type { Process } from '../process.ts';
import type { FaultDraws } from './faults.ts';

export interface ConnectionOptions {
  readonly process: Process;
  readonly node: SimulatedNode;
  readonly draws: FaultDraws;
  readonly source: string;
  /** Draws how long a call or an event takes in one direction. */
  readonly latency: () => number;
  /** A system of which the connection has a handle has ended. */
  readonly ended: (system: SystemId) => void;
}

/** A handle, and what becomes of its system. */
export interface Held {
  readonly handle: number;
  readonly end: PromiseWithResolvers<SystemEnd>;
}

export class ServiceConnection {
  readonly #options: ConnectionOptions;
  readonly #held = new Map<number, Held>();
  /** Fails the calls that have not returned. */
  readonly #pending = new Set<() => void>();
  /** Give up the creations that are under way. */
  readonly #creations = new Set<() => void>();
  #isLost = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    options.process.onDeath(() => this.#died());
  }

  get node(): SimulatedNode {
    return this.#options.node;
  }

  /** Calls the service. `operation` is the name of the call in errors. */
  call<T>(operation: string, effect: () => T | Promise<T>): Promise<T> {
    const { latency, process, source } = this.#options;
    return process.call(operation, source, latency, () => this.#unlessLost(operation, effect));
  }

  /** The same for a call that changes a system: its answer can be an error though it took effect. */
  change(operation: string, effect: () => void | Promise<void>): Promise<void> {
    return this.call(operation, async () => {
      await effect();
      if (!this.#options.draws.happens('failingAnswer')) return;
      throw new HcsError(operation, hresult.operationTimeout, 'the service did not answer');
    });
  }

  /** Takes a new handle of the system from the service. Call this as the effect of a call. */
  async hold(system: SystemId, take: (ended: (exit: SystemExit) => void) => Promise<number>): Promise<Held> {
    const end = Promise.withResolvers<SystemEnd>();
    let isTaken = false;
    const handle = await take((exit) => this.#deliver(system, end, exit, isTaken));
    isTaken = true;
    const held = { handle, end };
    if (this.#isLost) this.node.release(handle);
    else this.#held.set(handle, held);
    return held;
  }

  /** Runs a creation. The service gives it up when its client is gone, as it does when the handle is closed. */
  async creating<T>(giveUp: () => void, run: () => Promise<T>): Promise<T> {
    this.#creations.add(giveUp);
    return await run().finally(() => this.#creations.delete(giveUp));
  }

  release({ handle }: Held): void {
    if (this.#held.delete(handle)) this.node.release(handle);
  }

  /** Terminates the system of the handle, and closes the handle. */
  end(system: SystemId, held: Held): void {
    if (this.#held.has(held.handle)) this.node.systemNamed(system).terminate();
    this.release(held);
  }

  /** Disconnects. */
  close(): void {
    this.#lose((handle) => this.node.release(handle));
    for (const giveUp of [...this.#creations]) giveUp();
  }

  /** The service restarts. */
  forget(): void {
    this.#lose((handle) => this.node.forget(handle));
  }

  #lose(giveUp: (handle: number) => void): void {
    if (this.#isLost) return;
    this.#isLost = true;
    const held = [...this.#held.values()];
    this.#held.clear();
    for (const { handle } of held) giveUp(handle);
    if (!this.#options.process.isAlive) return;
    for (const { end } of held) end.resolve({ kind: 'serviceDisconnected' });
    for (const fail of this.#pending) fail();
  }

  /** The service notices after a while that its client is gone. */
  #died(): void {
    const { draws, latency, process, source } = this.#options;
    const late = draws.happens('slowRunDown') ? draws.chance('slowRunDown').integer(10_000) : 0;
    process.world.after(latency() + late, source, () => this.close());
  }

  #unlessLost<T>(operation: string, effect: () => T | Promise<T>): Promise<T> {
    const lost = () => new HcsError(operation, hresult.serviceDisconnect);
    if (this.#isLost) return Promise.reject(lost());
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const fail = () => reject(lost());
    this.#pending.add(fail);
    const run = async () => await effect();
    run()
      .then(resolve, reject)
      .finally(() => this.#pending.delete(fail));
    return promise;
  }

  #deliver(system: SystemId, end: Held['end'], exit: SystemExit, isEvent: boolean): void {
    const { draws, ended, latency, process, source } = this.#options;
    ended(system);
    // Whoever opens a system that has ended reads how, instead of waiting for an event.
    if (isEvent && draws.happens('lostExitEvent')) return;
    const late = isEvent && draws.happens('lateExitEvent') ? draws.chance('lateExitEvent').integer(60_000) : 0;
    process.world.after(latency() + late, source, () => {
      if (process.isAlive) end.resolve({ kind: 'exited', exit });
    });
  }
}
