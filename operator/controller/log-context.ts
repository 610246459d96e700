// Context of every log line within one pass of a controller, at any depth of calls.
import { AsyncLocalStorage } from 'node:async_hooks';

export interface LogContext {
  readonly vm: string;
  /** Number of the pass within this process. */
  readonly reconcile: number;
}

const storage = new AsyncLocalStorage<LogContext>();
let passes = 0;

export function inReconcileOf<T>(vm: string, pass: () => T): T {
  passes += 1;
  return storage.run({ vm, reconcile: passes }, pass);
}

/** For pino's `mixin`. */
export function logContext(): LogContext | object {
  return storage.getStore() ?? {};
}
