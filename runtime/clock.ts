// Time and randomness as ports that are passed in, so that a test can replay any schedule from a seed.

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Runs `task` once, at the earliest after `milliseconds`. A pending timer does not keep the process alive. */
  after(milliseconds: number, task: () => void): Timer;
}

/** A number in [0, 1). */
export type Random = () => number;

/** A new UUID of version 4, such as `crypto.randomUUID` returns. */
export type RandomUUID = () => string;

export const systemClock: Clock = {
  now: () => Date.now(),
  after(milliseconds, task) {
    const handle = setTimeout(task, milliseconds);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Resolves after `milliseconds`; rejects with the signal's reason if that comes first. */
export function delay(clock: Clock, milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.after(milliseconds, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Aborts after `milliseconds`. */
export function timeoutSignal(clock: Clock, milliseconds: number): AbortSignal {
  const controller = new AbortController();
  clock.after(milliseconds, () => controller.abort(new DOMException('the time is over', 'TimeoutError')));
  return controller.signal;
}
