// Resident memory of the programs, running from TypeScript, half a minute after every VM runs.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { RunningSystem } from '../support/system/running-system.ts';

const machines = 9;

export interface MemoryFigure {
  readonly program: string;
  readonly mebibytes: number;
  readonly promised: number;
}

export async function benchMemory(): Promise<MemoryFigure[]> {
  await using running = await RunningSystem.start();
  for (let index = 0; index < machines; index += 1) await running.apply(`memory-${index}`);
  await running.kubectl(['wait', '--for=condition=Ready', '--timeout=60s', 'luvm', '--all']);
  await sleep(30_000);
  const { operator, nodes } = running.system;
  return Promise.all([
    figure('operator', operator.pid, 220),
    ...nodes.map(({ name, agent }) => figure(`agent ${name}`, agent.pid, 120)),
  ]);
}

async function figure(program: string, pid: number | undefined, promised: number): Promise<MemoryFigure> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const kibibytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]);
  return { program, mebibytes: kibibytes / 1024, promised };
}
