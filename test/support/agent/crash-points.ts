// An agent that dies at a chosen call to the outside: before the call, or after its effect but before its result is
// seen. Every call of every port is numbered. After the death no call has an effect any more, and none returns.
import type { Duplex } from 'node:stream';
import type { ComputeSystem, HcsBackend } from '../../../agent/node/backend.ts';
import type { GuestListener, GuestSockets } from '../../../agent/node/guest-sockets.ts';
import type { WindowsHost } from '../../../agent/node/host.ts';
import type { Journal } from '../../../agent/vm/journal.ts';

export interface CrashPoint {
  /** Counted from 1. */
  readonly call: number;
  readonly when: 'before' | 'after';
}

export interface OutsidePorts {
  readonly backend: HcsBackend;
  readonly host: WindowsHost;
  readonly sockets: GuestSockets;
  readonly journal: Journal;
}

const never = new Promise<never>(() => {});

export class Outside {
  /** The names of the calls so far, in order. */
  readonly calls: string[] = [];
  /** Resolves when the agent has died. */
  readonly died: Promise<void>;
  readonly #point: CrashPoint | undefined;
  readonly #kill: () => void;
  readonly #listeners = new Set<GuestListener>();
  readonly #streams = new Set<Duplex>();
  readonly #underWay = new Set<Promise<unknown>>();
  #dead = false;
  #resolveDied: () => void = () => {};

  /** @param kill ends the process, if the agent has a process of its own */
  constructor(point: CrashPoint | undefined, kill: () => void = () => undefined) {
    this.#point = point;
    this.#kill = kill;
    this.died = new Promise((resolve) => {
      this.#resolveDied = resolve;
    });
  }

  wrap(ports: OutsidePorts): OutsidePorts {
    const { backend, host, journal, sockets } = ports;
    return {
      backend: {
        processorTopology: () => this.#call('processorTopology', () => backend.processorTopology()),
        enumerate: () => this.#call('enumerate', () => backend.enumerate()),
        create: (id, document, begun) =>
          this.#call('create', async () => this.#system(await backend.create(id, document, begun))),
        open: (id) => this.#call('open', async () => this.#system(await backend.open(id))),
        grantVmAccess: (id, path) => this.#call('grantVmAccess', () => backend.grantVmAccess(id, path)),
        revokeVmAccess: (id, path) => this.#call('revokeVmAccess', () => backend.revokeVmAccess(id, path)),
        close: () => backend.close(),
      },
      host: {
        facts: () => this.#call('facts', () => host.facts()),
        finalPath: (path) => host.finalPath(path),
        stat: (path) => this.#call('stat', () => host.stat(path)),
        // A look-up has no effect: dying at one equals dying at the call before or after it.
        withFile: (path, use) => host.withFile(path, use),
        readFile: (path, maxBytes) => this.#call('readFile', () => host.readFile(path, maxBytes)),
        copyFile: (from, to) => this.#call('copyFile', () => host.copyFile(from, to)),
        deleteFile: (path) => this.#call('deleteFile', () => host.deleteFile(path)),
        grantVmGroupAccess: (path, access) => this.#call('grant', () => host.grantVmGroupAccess(path, access)),
      },
      sockets: {
        listen: (runtimeId, port) =>
          this.#call('listen', async () => {
            const listener = await sockets.listen(runtimeId, port);
            this.#listeners.add(listener);
            return this.#listener(listener);
          }),
        // Users connect to guests, not the agent by itself.
        connect: (runtimeId, port, signal) => sockets.connect(runtimeId, port, signal),
      },
      journal: {
        load: () => this.#call('load', () => journal.load()),
        write: (record) => this.#call('write', () => journal.write(record)),
        remove: (uid) => this.#call('remove', () => journal.remove(uid)),
      },
    };
  }

  /**
   * Cleans up like the system after the death of a process: calls that were under way still take effect, and nothing
   * more happens.
   */
  async bury(): Promise<void> {
    this.#dead = true;
    await Promise.allSettled(this.#underWay);
    for (const listener of this.#listeners) await listener.close();
    for (const stream of this.#streams) stream.destroy();
  }

  async #call<T>(name: string, run: () => Promise<T>): Promise<T> {
    if (this.#dead) return never;
    this.calls.push(name);
    const isPoint = this.calls.length === this.#point?.call;
    if (isPoint && this.#point?.when === 'before') return this.#die();
    const effect = run();
    this.#underWay.add(effect);
    const result = effect.finally(() => this.#underWay.delete(effect));
    if (isPoint) return result.then(this.#die, this.#die);
    const value = await result;
    return this.#dead ? never : value;
  }

  readonly #die = (): Promise<never> => {
    this.#kill();
    this.#dead = true;
    this.#resolveDied();
    return never;
  };

  #listener(listener: GuestListener): GuestListener {
    return {
      accept: async (signal) => {
        const stream = await listener.accept(signal);
        this.#streams.add(stream);
        return stream;
      },
      close: () => listener.close(),
    };
  }

  #system(system: ComputeSystem): ComputeSystem {
    return {
      id: system.id,
      ended: system.ended.then((end) => (this.#dead ? never : end)),
      start: () => this.#call('start', () => system.start()),
      shutdown: () => this.#call('shutdown', () => system.shutdown()),
      terminate: () => this.#call('terminate', () => system.terminate()),
      modify: (document) => this.#call('modify', () => system.modify(document)),
      properties: () => this.#call('properties', () => system.properties()),
      statistics: () => system.statistics(),
      close: () => this.#call('closeHandle', () => system.close()),
    };
  }
}
