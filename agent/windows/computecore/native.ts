// computecore.dll as the rest of this folder sees it (hcs-runtime A.1): `./computecore.ts` binds it. HRESULTs are unsigned
// 32-bit numbers. What can wait, for the service or for a callback of ours to return, gives a promise.

declare const operationHandle: unique symbol;
declare const systemHandle: unique symbol;

/** Branded, because a handle of the wrong kind crashes the process instead of failing. */
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
  /** `completed` is called at least once if a call with this operation succeeds. Undefined when HCS gives none. */
  createOperation(completed: () => void): OperationHandle | undefined;
  /** Of an operation that is complete: it never waits. */
  operationResult(operation: OperationHandle): NativeResult;
  closeOperation(operation: OperationHandle): Promise<void>;
  /** Cancels an operation that HCS does not complete, as far as HCS can, and closes it: its completion reaches nobody. */
  abandonOperation(operation: OperationHandle): Promise<void>;

  enumerate(query: string, operation: OperationHandle): Promise<number>;
  /** The handle can be there although the operation fails later; it must be terminated and closed then. */
  createSystem(id: string, document: string, operation: OperationHandle): Promise<NativeSystem>;
  openSystem(id: string): Promise<NativeSystem>;
  /** Calls `happened` for each event of the system until its handle is closed. */
  listen(system: SystemHandle, happened: (event: NativeEvent) => void): Promise<number>;
  /** Waits until no callback of the system runs any more. */
  closeSystem(system: SystemHandle): Promise<void>;

  start(system: SystemHandle, operation: OperationHandle): Promise<number>;
  shutDown(system: SystemHandle, operation: OperationHandle): Promise<number>;
  terminate(system: SystemHandle, operation: OperationHandle): Promise<number>;
  properties(system: SystemHandle, query: string, operation: OperationHandle): Promise<number>;
  modify(system: SystemHandle, document: string, operation: OperationHandle): Promise<number>;
  /** How a system that has stopped ended; absent before Server 2022. */
  readonly exitStatus: ((system: SystemHandle) => Promise<NativeResult>) | undefined;

  serviceProperties(query: string): Promise<NativeResult>;
  grantVmAccess(id: string, path: string): Promise<number>;
  revokeVmAccess(id: string, path: string): Promise<number>;
  /** Absent before Server 2022. */
  readonly grantVmGroupAccess: ((path: string) => Promise<number>) | undefined;
  readonly revokeVmGroupAccess: ((path: string) => Promise<number>) | undefined;
}
