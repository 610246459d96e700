// Measures the agent on doubles of the libraries of Windows, which take no time: from an assignment to Running; memory
// with 100 VMs; and the free capacity of the thread pool while 100 calls hang. The first figure is also measured on the
// Windows build of Node under wine, where guests connect through the stand-in for Hyper-V sockets.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { Wakings } from '../support/doubles/winsock.ts';
import { missingPackages } from '../support/wine/bed.ts';
import { type AgentBed, linuxBed, wineBed } from './agent-beds.ts';
import { AgentLink } from './agent-link.ts';
import { BenchOperator } from './agent-operator.ts';

/** Times are in milliseconds. */
export interface LifeFigures {
  /** From an assignment to Running, for VMs one after another. */
  readonly single: { readonly median: number; readonly worst: number };
  /** The time until the last of several VMs runs that were assigned at once, and what woke the pump meanwhile. */
  readonly together: { readonly machines: number; readonly milliseconds: number; readonly wakings: Wakings };
}

export interface AgentFigures extends LifeFigures {
  readonly residentMebibytes: number;
  /** The longest time for reading a file or looking up a name while 100 calls were blocked, in milliseconds. */
  readonly blocked: { readonly seconds: number; readonly read: number; readonly lookUp: number };
}

export const agentPromises = { single: 30, together: 1500, resident: 140, blocked: 50 } as const;

const machines = 100;
const singles = 20;
const blockedMilliseconds = 10_000;

export async function benchAgent(): Promise<AgentFigures> {
  await using bed = await linuxBed();
  let residentMebibytes = Number.NaN;
  const figures = await lives(bed, async (pid) => {
    await sleep(10_000);
    residentMebibytes = await resident(pid);
  });
  return { ...figures, residentMebibytes, blocked: await blockedFigures() };
}

/** @returns the name of a missing program, if one is not installed */
export async function benchAgentUnderWine(): Promise<LifeFigures | { readonly missing: string }> {
  const missing = await missingPackages();
  if (missing !== undefined) return { missing };
  await using bed = await wineBed();
  return await lives(bed, async () => undefined);
}

/** @param whenAllRun called with the agent's process before its VMs are released */
async function lives(bed: AgentBed, whenAllRun: (pid: number | undefined) => Promise<void>): Promise<LifeFigures> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-agent-'));
  await using operator = await BenchOperator.listen();
  await using link = await AgentLink.listen(bed.dial);
  const agent = await bed.start(folder, operator.url, link.port);
  try {
    await Promise.race([operator.connected, agent.failed]);
    for (let index = 0; index < singles; index += 1) await operator.run(1);
    const times = (await link.lives()).slice(singles / 4).sort((a, b) => a - b);
    await operator.run(machines - singles);
    await whenAllRun(agent.pid);
    await operator.releaseAll();
    link.forget();
    const before = await link.wakings();
    const begun = performance.timeOrigin + performance.now();
    await operator.run(machines);
    const last = await link.lastRunning();
    const after = await link.wakings();
    return {
      single: { median: times[times.length >> 1] ?? Number.NaN, worst: times.at(-1) ?? Number.NaN },
      together: {
        machines,
        milliseconds: last - begun,
        wakings: {
          bySocket: after.bySocket - before.bySocket,
          byRest: after.byRest - before.byRest,
          byIdleTime: after.byIdleTime - before.byIdleTime,
        },
      },
    };
  } finally {
    link.endAgent();
    await agent.ended();
    await rm(folder, { recursive: true, force: true });
  }
}

async function resident(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

const blockedResult = z.object({ took: z.array(z.object({ read: z.number(), lookUp: z.number() })) });

async function blockedFigures(): Promise<AgentFigures['blocked']> {
  const program = fileURLToPath(new URL('../support/agent/blocked-calls.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program, String(blockedMilliseconds)]);
  const { took } = blockedResult.parse(JSON.parse(stdout));
  return {
    seconds: blockedMilliseconds / 1000,
    read: Math.max(...took.map(({ read }) => read)),
    lookUp: Math.max(...took.map(({ lookUp }) => lookUp)),
  };
}
