// Implements `native.ts` on top of the functions of computecore.dll: routes callbacks to their receivers and bounds the
// number of simultaneous calls. HCS gets a number as the context of a callback; this class maps the number to the
// receiver.

import { Gate } from '../../bounds/gate.ts';
import { poolSize } from '../../bounds/pool-size.ts';
import type { Export, NativeFunctions } from './functions.ts';
import type { ComputeCore, NativeEvent, NativeResult, NativeSystem, OperationHandle, SystemHandle } from './native.ts';

const genericAll = 0x1000_0000;
/** The options of every life-cycle call: an empty text, not NULL (hcs-runtime B.1). */
const noOptions = '';
const eventOptionsNone = 0;

export class ComputeCoreLibrary implements ComputeCore {
  readonly #functions: NativeFunctions;
  readonly #completions = new Map<bigint, () => void>();
  readonly #listeners = new Map<bigint, (event: NativeEvent) => void>();
  readonly #contextOfOperation = new Map<OperationHandle, bigint>();
  readonly #contextOfSystem = new Map<SystemHandle, bigint>();
  readonly #service: Gate;
  /** For calls that only wait for a callback to return. They must not queue behind calls that wait for the service. */
  readonly #prompt = new Gate(1);
  readonly #keepAlive = setInterval(() => {}, 0x7fff_ffff).unref();
  #lastContext = 0n;

  constructor(functions: NativeFunctions) {
    this.#functions = functions;
    this.#functions.receive({
      completed: (context) => this.#completions.get(context)?.(),
      happened: (context, event) => this.#listeners.get(context)?.(event),
    });
    this.#service = new Gate(Math.max(1, Math.floor(poolSize(process.env) / 2) - 1));
  }

  createOperation(completed: () => void): OperationHandle | undefined {
    this.#lastContext += 1n;
    const context = this.#lastContext;
    const operation = this.#functions.createOperation(context);
    if (operation === undefined) return undefined;
    this.#completions.set(context, completed);
    this.#contextOfOperation.set(operation, context);
    this.#stayAlive();
    return operation;
  }

  operationResult(operation: OperationHandle): NativeResult {
    const out: [string | null] = [null];
    const hresult = unsigned(this.#functions.operationResult(operation, out));
    return { hresult, document: out[0] ?? undefined };
  }

  async closeOperation(operation: OperationHandle): Promise<void> {
    // Once an operation is closed, HCS may reuse its handle.
    const context = this.#contextOfOperation.get(operation);
    this.#contextOfOperation.delete(operation);
    await this.#prompt.pass(() => this.#call('HcsCloseOperation', operation));
    if (context !== undefined) this.#completions.delete(context);
    this.#stayAlive();
  }

  async abandonOperation(operation: OperationHandle): Promise<void> {
    // HCS answers E_NOTIMPL (hcs-runtime A.1). Hcsshim also calls this function and ignores the answer.
    if (this.#functions.has('HcsCancelOperation'))
      await this.#prompt.pass(() => this.#call('HcsCancelOperation', operation));
    await this.closeOperation(operation);
  }

  enumerate(query: string, operation: OperationHandle): Promise<number> {
    return this.#serviceCall('HcsEnumerateComputeSystems', query, operation);
  }

  createSystem(id: string, document: string, operation: OperationHandle): Promise<NativeSystem> {
    return this.#handleCall('HcsCreateComputeSystem', id, document, operation, null);
  }

  openSystem(id: string): Promise<NativeSystem> {
    return this.#handleCall('HcsOpenComputeSystem', id, genericAll);
  }

  listen(system: SystemHandle, happened: (event: NativeEvent) => void): Promise<number> {
    this.#lastContext += 1n;
    const context = this.#lastContext;
    this.#listeners.set(context, happened);
    this.#contextOfSystem.set(system, context);
    this.#stayAlive();
    return this.#serviceCall(
      'HcsSetComputeSystemCallback',
      system,
      eventOptionsNone,
      context,
      this.#functions.eventCallback,
    );
  }

  async closeSystem(system: SystemHandle): Promise<void> {
    const context = this.#contextOfSystem.get(system);
    this.#contextOfSystem.delete(system);
    await this.#service.pass(() => this.#call('HcsCloseComputeSystem', system));
    if (context !== undefined) this.#listeners.delete(context);
    this.#stayAlive();
  }

  start(system: SystemHandle, operation: OperationHandle): Promise<number> {
    return this.#serviceCall('HcsStartComputeSystem', system, operation, noOptions);
  }

  shutDown(system: SystemHandle, operation: OperationHandle): Promise<number> {
    return this.#serviceCall('HcsShutDownComputeSystem', system, operation, noOptions);
  }

  terminate(system: SystemHandle, operation: OperationHandle): Promise<number> {
    return this.#serviceCall('HcsTerminateComputeSystem', system, operation, noOptions);
  }

  properties(system: SystemHandle, query: string, operation: OperationHandle): Promise<number> {
    return this.#serviceCall('HcsGetComputeSystemProperties', system, operation, query);
  }

  modify(system: SystemHandle, document: string, operation: OperationHandle): Promise<number> {
    return this.#serviceCall('HcsModifyComputeSystem', system, operation, document, null);
  }

  serviceProperties(query: string): Promise<NativeResult> {
    return this.#service.pass(() => this.#textCall('HcsGetServiceProperties', query));
  }

  grantVmAccess(id: string, path: string): Promise<number> {
    return this.#serviceCall('HcsGrantVmAccess', id, path);
  }

  revokeVmAccess(id: string, path: string): Promise<number> {
    return this.#serviceCall('HcsRevokeVmAccess', id, path);
  }

  get exitStatus(): ComputeCore['exitStatus'] {
    if (!this.#functions.has('HcsWaitForComputeSystemExit')) return undefined;
    const dontWait = 0;
    return (system) => this.#service.pass(() => this.#textCall('HcsWaitForComputeSystemExit', system, dontWait));
  }

  get grantVmGroupAccess(): ComputeCore['grantVmGroupAccess'] {
    return this.#pathCall('HcsGrantVmGroupAccess');
  }

  get revokeVmGroupAccess(): ComputeCore['revokeVmGroupAccess'] {
    return this.#pathCall('HcsRevokeVmGroupAccess');
  }

  /** Keeps the process alive while callbacks are expected; they do not do so alone. */
  #stayAlive(): void {
    if (this.#completions.size + this.#listeners.size > 0) this.#keepAlive.ref();
    else this.#keepAlive.unref();
  }

  // --- calls ------------------------------------------------------------------------------------------------------------

  #pathCall(name: Export): ((path: string) => Promise<number>) | undefined {
    return this.#functions.has(name) ? (path) => this.#serviceCall(name, path) : undefined;
  }

  async #serviceCall(name: Export, ...parameters: unknown[]): Promise<number> {
    return unsigned(await this.#service.pass(() => this.#call(name, ...parameters)));
  }

  async #handleCall(name: Export, ...parameters: unknown[]): Promise<NativeSystem> {
    const out: [SystemHandle | null] = [null];
    const hresult = await this.#serviceCall(name, ...parameters, out);
    return { hresult, system: out[0] ?? undefined };
  }

  async #textCall(name: Export, ...parameters: unknown[]): Promise<NativeResult> {
    const out: [string | null] = [null];
    const hresult = unsigned(await this.#call(name, ...parameters, out));
    return { hresult, document: out[0] ?? undefined };
  }

  #call(name: Export, ...parameters: unknown[]): Promise<unknown> {
    return this.#functions.call(name, ...parameters);
  }
}

function unsigned(code: unknown): number {
  return Number(code) >>> 0;
}
