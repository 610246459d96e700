// The HCS of this Windows node, through computecore.dll (hcs-runtime A, B).
import type { ComputeSystem, HcsBackend, SystemId, SystemProperties, UnfinishedSystem } from '../../node/backend.ts';
import { HcsError, hresult } from '../../node/hcs-error.ts';
import { type HostTopology, parseEnumeration, parseTopology, topologyQuery } from './documents.ts';
import { failure, ownResults, succeeded } from './failure.ts';
import type { ComputeCore, OperationHandle, SystemHandle } from './native.ts';
import { runOperation } from './operation.ts';
import { RunningCalls } from './running-calls.ts';
import { ComputeCoreSystem } from './system.ts';

export class ComputeCoreBackend implements HcsBackend {
  readonly #native: ComputeCore;
  readonly #systems = new Set<ComputeCoreSystem>();
  readonly #running = new RunningCalls();
  #isClosed = false;

  constructor(native: ComputeCore) {
    this.#native = native;
  }

  processorTopology(): Promise<HostTopology> {
    const call = 'HcsGetServiceProperties';
    return this.#call(call, async () => {
      const result = await this.#native.serviceProperties(topologyQuery);
      if (!succeeded(result.hresult)) throw failure(call, result.hresult, result.document);
      return parseTopology(call, result.document);
    });
  }

  enumerate(): Promise<readonly SystemProperties[]> {
    const call = 'HcsEnumerateComputeSystems';
    return this.#call(call, async () => {
      const document = await this.#operate(call, (operation) => this.#native.enumerate('{}', operation));
      return parseEnumeration(call, document);
    });
  }

  create(id: SystemId, document: string, begun?: (system: UnfinishedSystem) => void): Promise<ComputeSystem> {
    const call = 'HcsCreateComputeSystem';
    return this.#call(call, async () => {
      const running = new RunningCalls();
      let system: ComputeCoreSystem | undefined;
      const submit = async (operation: OperationHandle) => {
        const created = await this.#native.createSystem(id, document, operation);
        if (created.system !== undefined) system = this.#keep(id, created.system, running);
        if (system !== undefined && succeeded(created.hresult)) begun?.(unfinished(system));
        return created.hresult;
      };
      try {
        // The new handle is in use until this operation ends.
        await running.pass(runOperation(this.#native, call, submit, running));
        await system?.listen();
      } catch (error) {
        // HCS returns the handle before it knows whether the creation succeeds. Nobody else would end the system.
        if (system !== undefined) await undo(system, error);
        throw error;
      } finally {
        // Without a system, only the backend waits until the operation is closed.
        if (system === undefined) this.#running.keep(running.ended());
      }
      if (system === undefined) throw noHandle(call);
      return system;
    });
  }

  open(id: SystemId): Promise<ComputeSystem> {
    const call = 'HcsOpenComputeSystem';
    return this.#call(call, async () => {
      const opened = await this.#native.openSystem(id);
      if (!succeeded(opened.hresult)) throw failure(call, opened.hresult, undefined);
      if (opened.system === undefined) throw noHandle(call);
      const system = this.#keep(id, opened.system);
      try {
        await system.listen();
        await system.findOutWhetherItEnded();
      } catch (error) {
        await system.close();
        throw error;
      }
      return system;
    });
  }

  /** Gives this VM alone access to a file (hcs-runtime G.2). The VM need not exist yet. */
  grantVmAccess(id: SystemId, path: string): Promise<void> {
    return this.#access('HcsGrantVmAccess', () => this.#native.grantVmAccess(id, path));
  }

  revokeVmAccess(id: SystemId, path: string): Promise<void> {
    return this.#access('HcsRevokeVmAccess', () => this.#native.revokeVmAccess(id, path));
  }

  /** Acts like a lost connection to the service: handles are closed once the calls on them have returned. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const released = [...this.#systems].map((system) => system.disconnect());
    await this.#running.ended();
    await Promise.all(released);
    // Systems whose creation or opening finished meanwhile.
    await Promise.all([...this.#systems].map((system) => system.disconnect()));
  }

  #keep(id: SystemId, handle: SystemHandle, running = new RunningCalls()): ComputeCoreSystem {
    const onClosed = () => this.#systems.delete(system);
    const system: ComputeCoreSystem = new ComputeCoreSystem({ native: this.#native, id, handle, running, onClosed });
    this.#systems.add(system);
    return system;
  }

  async #access(call: string, run: () => Promise<number>): Promise<void> {
    await this.#call(call, async () => {
      const code = await run();
      if (!succeeded(code)) throw failure(call, code, undefined);
    });
  }

  async #call<T>(call: string, run: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new HcsError(call, hresult.serviceDisconnect, 'the backend was closed');
    return await this.#running.pass(run());
  }

  #operate(call: string, submit: (operation: OperationHandle) => Promise<number>): Promise<string | undefined> {
    return runOperation(this.#native, call, submit, this.#running);
  }
}

function unfinished(system: ComputeCoreSystem): UnfinishedSystem {
  return { terminate: () => system.terminate(), close: () => system.giveUp() };
}

/** When the id was taken, the handle may refer to somebody else's system: it is only closed. */
async function undo(system: ComputeCoreSystem, error: unknown): Promise<void> {
  const isOfAnother = error instanceof HcsError && error.isAlreadyExists;
  if (!isOfAnother) await system.terminate().catch(() => undefined);
  await system.close();
}

function noHandle(call: string): HcsError {
  return new HcsError(call, ownResults.unexpectedAnswer, 'HCS gave no handle');
}
