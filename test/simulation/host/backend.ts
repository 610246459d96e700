// HCS as an agent of a simulated host uses it.
import type {
  ComputeSystem,
  HcsBackend,
  ProcessorTopology,
  SystemEnd,
  SystemId,
  SystemProperties,
  SystemStatistics,
  UnfinishedSystem,
} from '../../../agent/node/backend.ts';
import { HcsError, hresult } from '../../../agent/node/hcs-error.ts';
import type { HostFiles } from '../../../simulator/service/host-files.ts';
import type { Held, ServiceConnection } from './connection.ts';
import type { SystemCounters } from './system-counters.ts';

export interface BackendOptions {
  readonly connection: ServiceConnection;
  readonly files: HostFiles;
  readonly counters: SystemCounters;
}

export class WorldBackend implements HcsBackend {
  readonly #options: BackendOptions;

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  processorTopology(): Promise<ProcessorTopology> {
    const { connection } = this.#options;
    return connection.call('HcsGetServiceProperties', () => connection.node.processorTopology());
  }

  enumerate(): Promise<readonly SystemProperties[]> {
    const { connection } = this.#options;
    return connection.call('HcsEnumerateComputeSystems', () => connection.node.enumerate());
  }

  async create(id: SystemId, document: string, begun?: (system: UnfinishedSystem) => void): Promise<ComputeSystem> {
    const creation = new Creation(id, this.#options);
    const creating = creation.run(document);
    begun?.(creation);
    return new WorldSystem(id, this.#options, await creating);
  }

  async open(id: SystemId): Promise<ComputeSystem> {
    const { connection } = this.#options;
    const open = () => connection.hold(id, (ended) => connection.node.open(id, (_, exit) => ended(exit)));
    return new WorldSystem(id, this.#options, await connection.call('HcsOpenComputeSystem', open));
  }

  grantVmAccess(id: SystemId, path: string): Promise<void> {
    const { connection, files } = this.#options;
    return connection.call('HcsGrantVmAccess', () => files.grantTo(id, path));
  }

  revokeVmAccess(id: SystemId, path: string): Promise<void> {
    const { connection, files } = this.#options;
    return connection.call('HcsRevokeVmAccess', () => files.revokeFrom(id, path));
  }

  async close(): Promise<void> {
    const { connection } = this.#options;
    await connection.call('HcsCloseComputeSystem', () => connection.close()).catch(ignoreDisconnect);
  }
}

/** A creation that is under way. Ending it makes it return, also when the system exists already. */
class Creation implements UnfinishedSystem {
  readonly #id: SystemId;
  readonly #options: BackendOptions;
  readonly #cancelled = new AbortController();
  #held: Held | undefined;

  constructor(id: SystemId, options: BackendOptions) {
    this.#id = id;
    this.#options = options;
  }

  async run(document: string): Promise<Held> {
    const held = await this.#options.connection.call('HcsCreateComputeSystem', () => this.#create(document));
    this.#cancelled.signal.throwIfAborted();
    return held;
  }

  async terminate(): Promise<void> {
    const { connection } = this.#options;
    await connection.call('HcsTerminateComputeSystem', async () => {
      await connection.node.terminateCreation(this.#id);
      this.#cancel();
    });
  }

  async close(): Promise<void> {
    await this.#options.connection.call('HcsCloseComputeSystem', () => this.#cancel()).catch(ignoreDisconnect);
  }

  async #create(document: string): Promise<Held> {
    const { connection, counters } = this.#options;
    const { signal } = this.#cancelled;
    this.#held = await connection.creating(
      () => this.#cancel(),
      () =>
        connection.hold(this.#id, (ended) =>
          connection.node.create(this.#id, document, (_, exit) => ended(exit), signal),
        ),
    );
    counters.created(this.#id);
    if (signal.aborted) this.#undo();
    return this.#held;
  }

  #cancel(): void {
    if (this.#cancelled.signal.aborted) return;
    this.#cancelled.abort(new HcsError('HcsCreateComputeSystem', hresult.terminated, this.#id));
    this.#undo();
  }

  #undo(): void {
    if (this.#held !== undefined) this.#options.connection.end(this.#id, this.#held);
  }
}

class WorldSystem implements ComputeSystem {
  readonly id: SystemId;
  readonly #options: BackendOptions;
  readonly #held: Held;
  #closing: Promise<void> | undefined;

  constructor(id: SystemId, options: BackendOptions, held: Held) {
    this.id = id;
    this.#options = options;
    this.#held = held;
  }

  get ended(): Promise<SystemEnd> {
    return this.#held.end.promise;
  }

  start(): Promise<void> {
    const { connection, counters } = this.#options;
    return connection.change('HcsStartComputeSystem', async () => {
      await connection.node.start(this.#held.handle);
      counters.started(this.id);
    });
  }

  shutdown(): Promise<void> {
    const { connection } = this.#options;
    return connection.change('HcsShutDownComputeSystem', () => connection.node.shutDown(this.#held.handle));
  }

  terminate(): Promise<void> {
    const { connection, counters } = this.#options;
    return connection.change('HcsTerminateComputeSystem', async () => {
      await connection.node.terminate(this.#held.handle);
      counters.terminated(this.id);
    });
  }

  modify(document: string): Promise<void> {
    const { connection } = this.#options;
    return connection.change('HcsModifyComputeSystem', () => connection.node.modify(this.#held.handle, document));
  }

  properties(): Promise<SystemProperties> {
    const { connection } = this.#options;
    return connection.call('HcsGetComputeSystemProperties', () => connection.node.properties(this.#held.handle));
  }

  statistics(): Promise<SystemStatistics> {
    const { connection } = this.#options;
    return connection.call('HcsGetComputeSystemProperties', () => connection.node.statistics(this.#held.handle));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { connection } = this.#options;
    this.#held.end.resolve({ kind: 'closed' });
    await connection.call('HcsCloseComputeSystem', () => connection.release(this.#held)).catch(ignoreDisconnect);
  }
}

/** When the service is gone, it has already closed the handle. */
function ignoreDisconnect(error: unknown): void {
  if (!(error instanceof HcsError && error.isServiceDisconnect)) throw error;
}
