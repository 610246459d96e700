// The system under attack: three simulated hosts, one operator with its aggregated API, as a release would have them.
import { RunningSystem } from '../e2e/running-system.ts';

export async function startTarget(): Promise<RunningSystem> {
  const running = await RunningSystem.start();
  await running.system.installApiService();
  return running;
}
