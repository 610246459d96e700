// One handle of a compute system (hcs-runtime B.1). Calls on the handle are counted, and it is closed once none is
// running: closing it during a call crashes the library (hcs-runtime A.5).
import { fixedTimes } from '../../bounds/timeouts.ts';
import type {
  ComputeSystem,
  SystemEnd,
  SystemExit,
  SystemId,
  SystemProperties,
  SystemStatistics,
} from '../../node/backend.ts';
import { HcsError, hresult } from '../../node/hcs-error.ts';
import { basicQuery, parseExit, parseProperties, parseStatistics, statisticsQuery } from './documents.ts';
import { ExitReport } from './exit-report.ts';
import { failure, isBenignForEnding, ownResults, succeeded } from './failure.ts';
import type { ComputeCore, NativeEvent, OperationHandle, SystemHandle } from './native.ts';
import { runOperation } from './operation.ts';
import type { RunningCalls } from './running-calls.ts';

/** The HCS_EVENT_TYPEs that end a handle's events or explain the end (hcs-runtime A.2). The others are not needed. */
const eventTypes = {
  systemExited: 0x1,
  systemCrashInitiated: 0x2,
  systemCrashReport: 0x3,
  serviceDisconnect: 0x0200_0000,
} as const;

export interface SystemHandleOptions {
  readonly native: ComputeCore;
  readonly id: SystemId;
  readonly handle: SystemHandle;
  /** Calls that are already running on the handle. */
  readonly running: RunningCalls;
  readonly onClosed: () => void;
}

export class ComputeCoreSystem implements ComputeSystem {
  readonly id: SystemId;
  readonly #native: ComputeCore;
  readonly #handle: SystemHandle;
  readonly #onClosed: () => void;
  readonly #end = Promise.withResolvers<SystemEnd>();
  readonly #exit = new ExitReport((exit) => this.#end.resolve({ kind: 'exited', exit }));
  readonly #running: RunningCalls;
  #hasExited = false;
  #isUsable = true;
  #isLost = false;
  #released: Promise<void> | undefined;

  constructor({ native, id, handle, running, onClosed }: SystemHandleOptions) {
    this.#native = native;
    this.id = id;
    this.#handle = handle;
    this.#running = running;
    this.#onClosed = onClosed;
  }

  get ended(): Promise<SystemEnd> {
    return this.#end.promise;
  }

  /** Starts listening on a system that was just created: it cannot have exited unnoticed. */
  async listen(): Promise<void> {
    const call = 'HcsSetComputeSystemCallback';
    const code = await this.#call(call, () => this.#native.listen(this.#handle, (event) => this.#happened(event)));
    if (!succeeded(code)) throw failure(call, code, undefined);
  }

  /** Starts listening on a system that was opened. It may have exited earlier, and no event reports that again. */
  async findOutWhetherItEnded(): Promise<void> {
    const call = 'HcsGetComputeSystemProperties';
    try {
      const { properties, exitType } = parseProperties(call, await this.#query());
      if (properties.state !== 'Stopped') return;
      this.#exited((await this.#exitStatus()) ?? { exitType, status: 0 });
    } catch (error) {
      if (!(error instanceof HcsError && (error.isAlreadyStopped || error.isNotFound))) throw error;
      this.#exited({ exitType: 'Unknown', status: 0 });
    }
  }

  async start(): Promise<void> {
    await this.#operate('HcsStartComputeSystem', (operation) => this.#native.start(this.#handle, operation));
  }

  async shutdown(): Promise<void> {
    await this.#endIt('HcsShutDownComputeSystem', (operation) => this.#native.shutDown(this.#handle, operation));
  }

  async terminate(): Promise<void> {
    await this.#endIt('HcsTerminateComputeSystem', (operation) => this.#native.terminate(this.#handle, operation));
  }

  async modify(document: string): Promise<void> {
    await this.#operate('HcsModifyComputeSystem', (operation) =>
      this.#native.modify(this.#handle, document, operation),
    );
  }

  async properties(): Promise<SystemProperties> {
    const { properties } = parseProperties('HcsGetComputeSystemProperties', await this.#query());
    // The exit event may have been lost.
    if (properties.state === 'Stopped') this.#hasExited = true;
    return properties;
  }

  async statistics(): Promise<SystemStatistics> {
    return parseStatistics('HcsGetComputeSystemProperties', await this.#query(statisticsQuery));
  }

  /** Resolves when the handle is closed, after the last call on it. */
  close(): Promise<void> {
    // HCS sends no final event for a handle that is closed (hcs-runtime A.4).
    this.#exit.flush();
    this.#end.resolve({ kind: 'closed' });
    if (this.#hasExited) this.#giveUpSoon();
    return this.#release();
  }

  /** Closes the handle of a creation that HCS does not complete. */
  giveUp(): Promise<void> {
    this.#running.giveUp();
    return this.close();
  }

  /**
   * The state of the system is unknown from now on, and users of this handle drop it. The handle then closes itself.
   */
  disconnect(): Promise<void> {
    this.#isLost = true;
    this.#exit.flush();
    this.#end.resolve({ kind: 'serviceDisconnected' });
    return this.#release();
  }

  #happened({ type, data }: NativeEvent): void {
    if (type === eventTypes.systemExited) this.#exited(parseExit(data));
    if (type === eventTypes.systemCrashInitiated || type === eventTypes.systemCrashReport) this.#exit.crashed(data);
    // A failure is reported to whoever closes the handle.
    if (type === eventTypes.serviceDisconnect) this.disconnect().catch(() => undefined);
  }

  #exited(exit: SystemExit): void {
    this.#hasExited = true;
    this.#exit.exited(exit);
    if (this.#released !== undefined) this.#giveUpSoon();
  }

  #giveUpSoon(): void {
    // When a system ends, HCS fails most calls on it at once.
    const timer = setTimeout(() => this.#running.giveUp(), fixedTimes.windows.callsAfterExit);
    this.#running.ended().then(() => clearTimeout(timer));
  }

  #query(query = basicQuery): Promise<string | undefined> {
    return this.#operate('HcsGetComputeSystemProperties', (operation) =>
      this.#native.properties(this.#handle, query, operation),
    );
  }

  async #exitStatus() {
    const { exitStatus } = this.#native;
    if (exitStatus === undefined) return undefined;
    const result = await this.#call('HcsWaitForComputeSystemExit', () => exitStatus(this.#handle));
    return succeeded(result.hresult) && result.document !== undefined ? parseExit(result.document) : undefined;
  }

  async #endIt(call: string, submit: (operation: OperationHandle) => Promise<number>): Promise<void> {
    try {
      await this.#operate(call, submit);
    } catch (error) {
      if (!isBenignForEnding(error)) throw error;
    }
  }

  #operate(call: string, submit: (operation: OperationHandle) => Promise<number>): Promise<string | undefined> {
    return this.#call(call, () => runOperation(this.#native, call, submit, this.#running));
  }

  async #call<T>(call: string, run: () => Promise<T>): Promise<T> {
    if (this.#isLost) throw new HcsError(call, hresult.serviceDisconnect);
    if (!this.#isUsable) throw new HcsError(call, ownResults.invalidHandle, 'the handle has already been closed');
    return await this.#running.pass(run());
  }

  #release(): Promise<void> {
    this.#isUsable = false;
    this.#released ??= this.#closeHandle();
    return this.#released;
  }

  async #closeHandle(): Promise<void> {
    await this.#running.ended();
    await this.#native.closeSystem(this.#handle);
    this.#onClosed();
  }
}
