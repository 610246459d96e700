// The functions of computecore.dll, as `./computecore.ts` binds them.
import type { NativeEvent, OperationHandle } from './native.ts';

/** The functions that the agent needs (hcs-runtime A.1). */
export const requiredExports = [
  'HcsCreateOperation',
  'HcsCloseOperation',
  'HcsGetOperationResult',
  'HcsEnumerateComputeSystems',
  'HcsCreateComputeSystem',
  'HcsOpenComputeSystem',
  'HcsCloseComputeSystem',
  'HcsSetComputeSystemCallback',
  'HcsStartComputeSystem',
  'HcsShutDownComputeSystem',
  'HcsTerminateComputeSystem',
  'HcsGetComputeSystemProperties',
  'HcsModifyComputeSystem',
  'HcsGetServiceProperties',
  'HcsGrantVmAccess',
  'HcsRevokeVmAccess',
] as const;
/** Functions that the agent can do without; the `Wait` and `Group` functions came with Windows Server 2022. */
export const optionalExports = [
  'HcsCancelOperation',
  'HcsWaitForComputeSystemExit',
  'HcsGrantVmGroupAccess',
  'HcsRevokeVmGroupAccess',
] as const;
export type Export = (typeof requiredExports)[number] | (typeof optionalExports)[number];

export interface Receiver {
  completed(context: bigint): void;
  happened(context: bigint, event: NativeEvent): void;
}

export interface NativeFunctions {
  /** HCS_EVENT_CALLBACK, for HcsSetComputeSystemCallback. */
  readonly eventCallback: bigint;
  has(name: Export): boolean;
  /** Runs on a thread of libuv's pool. An output parameter is an array of one element. */
  call(name: Export, ...parameters: unknown[]): Promise<unknown>;
  /** Called directly, because it just allocates. The completion callback receives this context. */
  createOperation(context: bigint): OperationHandle | undefined;
  /** Called directly, because the result is available. */
  operationResult(operation: OperationHandle, document: [string | null]): unknown;
  /** Sets the receiver of the callbacks. Must come before any call. */
  receive(receiver: Receiver): void;
}
