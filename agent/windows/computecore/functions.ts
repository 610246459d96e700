// The bare functions of computecore.dll, as `./computecore.ts` binds them.
import type { NativeEvent, OperationHandle } from './native.ts';

/** What we use of it (hcs-runtime A.1). */
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
/** Of no use where they are missing; the `Wait` and `Group` functions came with Windows Server 2022. */
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
  /** On a thread of libuv's pool. A parameter that HCS fills is an array of one element. */
  call(name: Export, ...parameters: unknown[]): Promise<unknown>;
  /** Directly: it just allocates. Its completion comes with this context. */
  createOperation(context: bigint): OperationHandle | undefined;
  /** Directly: the result is there. */
  operationResult(operation: OperationHandle, document: [string | null]): unknown;
  /** Where the callbacks go; before any call. */
  receive(receiver: Receiver): void;
}
