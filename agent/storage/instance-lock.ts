// One agent for each node (docs/design.md §8): a second agent waits until the first has ended.
import type { Logger } from 'pino';
import { type Clock, delay } from '../../runtime/clock.ts';
import { fixedTimes } from '../bounds/timeouts.ts';
import type { HeldLock, TryLock } from '../node/state-storage.ts';

/** Resolves once this process holds all of the locks. */
export async function acquireInstanceLock(
  locks: readonly TryLock[],
  clock: Clock,
  logger: Logger,
  signal: AbortSignal,
): Promise<HeldLock> {
  const held: HeldLock[] = [];
  const release = () => {
    for (const lock of held.splice(0)) lock.release();
  };
  let isWaiting = false;
  try {
    while (held.length < locks.length) {
      const lock = await locks[held.length]?.();
      if (lock !== undefined) {
        held.push(lock);
        continue;
      }
      if (!isWaiting) logger.warn('another agent runs on this node; waiting until it ends');
      isWaiting = true;
      await delay(clock, fixedTimes.storage.lockRetry, signal);
    }
  } catch (error) {
    release();
    throw error;
  }
  return { release };
}
