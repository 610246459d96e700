// The interface of computecore.dll for the rest of this folder (hcs-runtime A.1); `./computecore.ts` binds it. HRESULTs
// are unsigned 32-bit numbers. A function that may wait, for the service or for a callback of ours to return, returns a
// promise.

declare const operationHandle: unique symbol;
declare const systemHandle: unique symbol;

/** Branded: a handle of the wrong kind would crash the process instead of failing. */
export type OperationHandle = bigint & { readonly [operationHandle]: true };
export type SystemHandle = bigint & { readonly [systemHandle]: true };

export interface NativeResult {
  readonly hresult: number;
  /** Absent for a NULL document, which is normal. */
  readonly document: string | undefined;
}

export interface NativeSystem {
  readonly hresult: number;
  readonly system: SystemHandle | undefined;
}

/** HCS_EVENT (hcs-runtime A.2). */
export interface NativeEvent {
  readonly type: number;
  readonly data: string | undefined;
}

export interface ComputeCore {
  /**
   * `completed` is called at least once if a call with this operation succeeds. Undefined when HCS cannot create an
   * operation.
   */
  createOperation(completed: () => void): OperationHandle | undefined;
  /** The result of a completed operation. Never waits. */
  operationResult(operation: OperationHandle): NativeResult;
  closeOperation(operation: OperationHandle): Promise<void>;
  /**
   * Cancels an operation that HCS does not complete, as far as HCS can, and closes it. Its completion is then ignored.
   */
  abandonOperation(operation: OperationHandle): Promise<void>;

  enumerate(query: string, operation: OperationHandle): Promise<number>;
  /** The result can contain a handle even if the operation fails later. That handle must be terminated and closed. */
  createSystem(id: string, document: string, operation: OperationHandle): Promise<NativeSystem>;
  openSystem(id: string): Promise<NativeSystem>;
  /** Calls `happened` for each event of the system until its handle is closed. */
  listen(system: SystemHandle, happened: (event: NativeEvent) => void): Promise<number>;
  /** Waits until no callback of the system is running. */
  closeSystem(system: SystemHandle): Promise<void>;

  start(system: SystemHandle, operation: OperationHandle): Promise<number>;
  shutDown(system: SystemHandle, operation: OperationHandle): Promise<number>;
  terminate(system: SystemHandle, operation: OperationHandle): Promise<number>;
  properties(system: SystemHandle, query: string, operation: OperationHandle): Promise<number>;
  modify(system: SystemHandle, document: string, operation: OperationHandle): Promise<number>;
  /** How a stopped system ended. Absent before Server 2022. */
  readonly exitStatus: ((system: SystemHandle) => Promise<NativeResult>) | undefined;

  serviceProperties(query: string): Promise<NativeResult>;
  grantVmAccess(id: string, path: string): Promise<number>;
  revokeVmAccess(id: string, path: string): Promise<number>;
  /** Absent before Server 2022. */
  readonly grantVmGroupAccess: ((path: string) => Promise<number>) | undefined;
  readonly revokeVmGroupAccess: ((path: string) => Promise<number>) | undefined;
}
