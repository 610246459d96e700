// Bounds a call in time without abandoning it: HCS crashes when handles are released under a running call (hcs-runtime
// A.5), so a caller that exceeds the bound gets the pending call along with the error.
import type { Clock } from '../../runtime/clock.ts';

/** A call that exceeded its bound. It is still running: `late` settles when it comes back. */
export class CallOverdue extends Error {
  override readonly name = 'CallOverdue';
  readonly late: Promise<unknown>;
  /** Why waiting ended early, if not for the time limit. */
  readonly failure: Error | undefined;

  constructor(call: string, milliseconds: number, late: Promise<unknown>, failure?: Error) {
    super(failure?.message ?? `${call} has not come back within ${Math.round(milliseconds / 1000)} s`);
    this.late = late;
    this.failure = failure;
  }
}

export function bounded<T>(clock: Clock, milliseconds: number, call: string, run: () => Promise<T>): Promise<T> {
  const pending = run();
  return new Promise((resolve, reject) => {
    const timer = clock.after(milliseconds, () => reject(new CallOverdue(call, milliseconds, pending)));
    pending.then(
      (value) => {
        timer.cancel();
        resolve(value);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error);
      },
    );
  });
}

/** Undefined when the signal aborts first. */
export function unlessAborted<T>(awaited: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve, reject) => {
    const onAbort = () => resolve(undefined);
    signal.addEventListener('abort', onAbort, { once: true });
    awaited.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** `waiting` when the promise has not settled in time. */
export async function within<T>(clock: Clock, milliseconds: number, awaited: Promise<T>): Promise<T | 'waiting'> {
  const { promise, resolve } = Promise.withResolvers<'waiting'>();
  const timer = clock.after(milliseconds, () => resolve('waiting'));
  try {
    return await Promise.race([awaited, promise]);
  } finally {
    timer.cancel();
  }
}
