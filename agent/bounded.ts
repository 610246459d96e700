// Bounds a call in time without abandoning it: HCS crashes when handles are released under a running call
// (hcs-runtime A.5), so whoever runs into the bound gets the pending call along with the error.
import type { Clock } from '../protocol/clock.ts';
import { CallOverdue } from './failure.ts';

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
