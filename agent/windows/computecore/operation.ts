// Runs one operation, which serves one call (hcs-runtime A.5): creates it, makes the call, waits for its callback,
// reads the result, closes it. The callback can come before the call returns. The operation is closed only after both,
// unless it is given up. Only whoever closes the system waits for this.
import { HcsError, hresult } from '../../node/hcs-error.ts';
import { failure, succeeded } from './failure.ts';
import type { ComputeCore, OperationHandle } from './native.ts';
import type { RunningCalls } from './running-calls.ts';

/** Resolves with the result document; rejects with an `HcsError`. The caller bounds it. */
export async function runOperation(
  native: ComputeCore,
  call: string,
  submit: (operation: OperationHandle) => Promise<number>,
  running: RunningCalls,
): Promise<string | undefined> {
  const completed = Promise.withResolvers<void>();
  const operation = native.createOperation(completed.resolve);
  if (operation === undefined) throw new HcsError('HcsCreateOperation', hresult.outOfMemory);
  let isGivenUp = false;
  try {
    const submitted = await submit(operation);
    if (succeeded(submitted)) isGivenUp = (await running.completion(completed.promise)) === 'givenUp';
    if (isGivenUp) throw new HcsError(call, hresult.operationTimeout, 'HCS has not completed it');
    // A call that fails at once may also have left a document.
    const result = native.operationResult(operation);
    const code = succeeded(submitted) ? result.hresult : submitted;
    if (!succeeded(code)) throw failure(call, code, result.document);
    return result.document;
  } finally {
    running.keep(isGivenUp ? native.abandonOperation(operation) : native.closeOperation(operation));
  }
}
