// A VM of another user, in the namespace `default`.
import { isRunning, type RunningSystem } from '../support/system/running-system.ts';

export async function withVictim<T>(target: RunningSystem, name: string, attack: () => Promise<T>): Promise<T> {
  const spec = { memory: { sizeInMB: 256 }, console: { pipe: `\\\\.\\pipe\\${name}` } };
  await target.apply(name, spec);
  try {
    await target.untilMachine(name, 'runs', isRunning);
    return await attack();
  } finally {
    await target.kubectl(['delete', 'luvm', name, '--timeout=60s']);
  }
}
