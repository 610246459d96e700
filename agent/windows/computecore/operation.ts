// One operation is one call (hcs-runtime A.5): created, used, awaited through its callback, asked for its result, closed.
// The callback can come before the call that it completes has returned; nothing is closed before both have come, unless the
// operation is given up. Nobody waits for the closing but who closes what the operation was about.
import { HcsError, hresult } from '../../node/hcs-error.ts';
import { failure, succeeded } from './failure.ts';
import type { ComputeCore, OperationHandle } from './native.ts';
import type { RunningCalls } from './running-calls.ts';

/** Resolves with the result document; rejects with an `HcsError`. Bounding it is the caller's part. */
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
    // A call that fails at once may have left a document too.
    const result = native.operationResult(operation);
    const code = succeeded(submitted) ? result.hresult : submitted;
    if (!succeeded(code)) throw failure(call, code, result.document);
    return result.document;
  } finally {
    running.keep(isGivenUp ? native.abandonOperation(operation) : native.closeOperation(operation));
  }
}
