// How long users wait when the leader goes away: until a new VM runs under the next one.
import { fileURLToPath } from 'node:url';
import { AgentsService } from '../support/system/agents-service.ts';
import { leads, rolesOf } from '../support/system/replicas.ts';
import { isRunning, RunningSystem } from '../support/system/running-system.ts';

export interface FailoverFigure {
  readonly how: string;
  readonly milliseconds: number;
  readonly promised: number;
}

const nodeName = 'win-node-a';
const hostFile = fileURLToPath(new URL('../../simulator/playground/hosts/win-2025-a.yaml', import.meta.url));

export async function benchFailover(): Promise<readonly FailoverFigure[]> {
  const service = await AgentsService.listen();
  await using running = await RunningSystem.start(
    new Map([[nodeName, hostFile]]),
    async (cluster) => ({
      replicas: [cluster, cluster],
      agentsService: service.port,
      operatorFlags: ['--heartbeat-seconds', '2'],
    }),
    (system) => service.serve(system.replicas),
  );
  const figures = [
    await measure(running, 'is killed', 15_000, async ({ process }) => process.kill()),
    await measure(running, 'is frozen', 45_000, async ({ process: { pid } }) => {
      if (pid === undefined) throw new Error('the leader has no process');
      process.kill(pid, 'SIGSTOP');
      return () => process.kill(pid, 'SIGCONT');
    }),
    await measure(running, 'stops in order', 6_000, async ({ process }) => process.stop()),
  ];
  await service.close();
  return figures;
}

type Leader = Awaited<ReturnType<typeof rolesOf>>['leader'];

/** `leave` may return what brings the former leader back. */
async function measure(
  running: RunningSystem,
  how: string,
  promised: number,
  leave: (leader: Leader) => Promise<unknown>,
): Promise<FailoverFigure> {
  const { leader, standby } = await rolesOf(running);
  const name = `newcomer-${how.replaceAll(' ', '-')}`;
  const begun = performance.now();
  const undo = await leave(leader);
  await running.apply(name, { nodeName });
  await running.until('the other replica leads', () => leads(standby));
  await running.untilMachine(name, 'runs under the next leader', isRunning);
  const milliseconds = performance.now() - begun;
  if (typeof undo === 'function') undo();
  return { how, milliseconds, promised };
}
