// The operations of the compute service of a life: what each comes to, and when that is told.
import type { OperationHandle } from '../../../agent/windows/computecore/native.ts';
import type { Activity } from './activity.ts';
import type { HostCall } from './life.ts';

export const succeeded = 0;

export interface Operation {
  readonly context: bigint;
  result: number;
  document: string | undefined;
  /** The call that it was made for. */
  step: HostCall | undefined;
}

export function hexOf(code: number): string {
  return `0x${(code >>> 0).toString(16).padStart(8, '0')}`;
}

export class Operations {
  readonly #activity: Activity;
  readonly #operations = new Map<unknown, Operation>();
  #last = 0n;
  /** Told once an operation has completed, with its context. */
  onCompleted: (context: bigint) => void = () => undefined;

  constructor(activity: Activity) {
    this.#activity = activity;
  }

  create(context: bigint): OperationHandle {
    this.#last += 1n;
    // Whoever makes handles brands them.
    const handle = this.#last as OperationHandle;
    this.#operations.set(handle, { context, result: succeeded, document: undefined, step: undefined });
    return handle;
  }

  close(handle: unknown): void {
    this.#operations.delete(handle);
  }

  /** Of a handle that the agent has of us. */
  get(handle: unknown): Operation {
    const found = this.#operations.get(handle);
    if (found === undefined) throw new Error('the agent used a handle of no operation');
    return found;
  }

  /** The call is accepted. */
  begin(handle: unknown, step: HostCall): Operation {
    const operation = this.get(handle);
    operation.step = step;
    step.result = hexOf(succeeded);
    return operation;
  }

  /** The function itself fails; what document there is can still be had. */
  refuse(handle: unknown, step: HostCall, code: number, document: string | undefined): void {
    this.get(handle).document = document;
    step.result = hexOf(code);
    step.operation = operationOf(code, document);
  }

  complete(operation: Operation, code: number, document?: string): void {
    operation.result = code;
    operation.document = document;
    if (operation.step !== undefined) operation.step.operation = operationOf(code, document);
    setImmediate(() => {
      this.#activity.noted();
      this.onCompleted(operation.context);
    });
  }
}

function operationOf(code: number, document: string | undefined): NonNullable<HostCall['operation']> {
  return { result: hexOf(code), ...(document !== undefined && { document }) };
}
