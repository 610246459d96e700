// Two replicas of the operator and five agents, as processes. The leader dies, or is frozen and resumes. `npm run bench --
// failover` measures how long users wait.
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { AgentsService } from '../support/system/agents-service.ts';
import { EpochAudit } from '../support/system/epochs.ts';
import { leads, metricOf, rolesOf } from '../support/system/replicas.ts';
import { isRunning, type Machine, RunningSystem } from '../support/system/running-system.ts';

const nodeNames = ['a', 'b', 'c', 'd', 'e'].map((letter) => `win-node-${letter}`);
const hostFile = fileURLToPath(new URL('../../simulator/playground/hosts/win-2025-a.yaml', import.meta.url));
/** Of the memory of `hostFile`. */
const sixtyPercentInMB = Math.ceil(0.6 * 65_536);
const lease = z.object({ spec: z.object({ holderIdentity: z.string().default('') }) });

let running: RunningSystem;
let service: AgentsService;

beforeAll(async () => {
  service = await AgentsService.listen();
  running = await RunningSystem.start(
    new Map(nodeNames.map((name) => [name, hostFile])),
    async (controlPlane) => ({
      replicas: [controlPlane, controlPlane],
      agentsService: service.port,
      operatorFlags: ['--heartbeat-seconds', '2'],
    }),
    (system) => {
      service.serve(system.replicas);
    },
    { audited: true },
  );
}, 900_000);

afterAll(async () => {
  await running?.[Symbol.asyncDispose]();
  await service.close();
});

async function holder(): Promise<string> {
  const text = await running.kubectl(['get', 'lease', 'lcow-operator', '-o', 'json']);
  return lease.parse(JSON.parse(text)).spec.holderIdentity;
}

/** One VM on each node, all running. */
async function fleet(prefix: string): Promise<readonly Machine[]> {
  await Promise.all(nodeNames.map((nodeName) => running.apply(`${prefix}-${nodeName}`, { nodeName })));
  return Promise.all(nodeNames.map((name) => running.untilMachine(`${prefix}-${name}`, 'runs', isRunning)));
}

async function audit(): Promise<EpochAudit> {
  return new EpochAudit((await running.controlPlane.audit?.writes()) ?? []);
}

async function calls(): Promise<readonly string[]> {
  return (
    await Promise.all(
      nodeNames.map(async (name) => {
        const control = await running.control(name);
        const systems = await control.systems();
        control.close();
        return systems.map((system) => JSON.stringify(system));
      }),
    )
  ).flat();
}

async function expectUntouched(prefix: string, before: readonly Machine[]): Promise<void> {
  for (const [index, name] of nodeNames.entries()) {
    const after = await running.get(`${prefix}-${name}`);
    const { runtimeID, startTime } = before[index]?.status ?? {};
    expect(after?.status).toMatchObject({ runtimeID, startTime, restarts: 0, nodeName: name });
  }
}

const remove = (prefix: string) =>
  running.kubectl(['delete', 'luvm', ...nodeNames.map((name) => `${prefix}-${name}`), '--timeout=30s']);

const wish = (name: string, runStrategy: 'Always' | 'Halted') =>
  running.kubectl(['patch', 'luvm', name, '--type=merge', '-p', JSON.stringify({ spec: { runStrategy } })]);

const readyReason = (machine: Machine | undefined) =>
  machine?.status?.conditions?.find(({ type }) => type === 'Ready')?.reason;

describe('failover', () => {
  it('kill -9 of the leader loses and restarts no VM, and the state is right under the next one', async () => {
    const before = await fleet('killed');
    const systems = await calls();
    const { leader, standby } = await rolesOf(running);
    await leader.process.kill();
    await running.apply('killed-newcomer', { nodeName: 'win-node-c' });
    await running.kubectl(['delete', 'luvm', 'killed-win-node-e', '--wait=false']);
    await running.untilMachine('killed-newcomer', 'runs under the next leader', isRunning);
    await running.until(
      'killed-win-node-e is gone',
      async () => (await running.get('killed-win-node-e')) === undefined,
    );
    expect(await leads(standby)).toBe(true);
    await running.until('every agent is with the next leader', async () => {
      return (await metricOf(standby, 'lcow_agent_sessions')) === String(nodeNames.length);
    });
    await running.apply('killed-win-node-e', { nodeName: 'win-node-e' });
    await running.untilMachine('killed-win-node-e', 'runs', isRunning);
    for (const name of nodeNames.slice(0, -1)) {
      const { runtimeID, startTime } = before[nodeNames.indexOf(name)]?.status ?? {};
      expect((await running.get(`killed-${name}`))?.status).toMatchObject({ runtimeID, startTime, restarts: 0 });
    }
    expect(await calls()).toEqual(expect.arrayContaining(systems.slice(0, -1)));
    await running.kubectl(['delete', 'luvm', 'killed-newcomer', '--timeout=30s']);
    await remove('killed');
  }, 120_000);

  it('after kill -9 of the leader while two halted VMs start, one of the two finds room', async () => {
    const pair = ['left', 'right'];
    for (const name of pair) {
      await running.apply(name, { nodeName: 'win-node-c', memory: { sizeInMB: sixtyPercentInMB } });
      await running.untilMachine(name, 'runs', isRunning);
      await wish(name, 'Halted');
      await running.untilMachine(name, 'is halted', ({ status }) => status?.phase === 'Stopped');
    }
    const { leader } = await rolesOf(running);
    await Promise.all([...pair.map((name) => wish(name, 'Always')), leader.process.kill()]);
    const reasons = () => Promise.all(pair.map(async (name) => readyReason(await running.get(name))));
    await running.until('one runs and one waits', async () => (await reasons()).sort().join() === 'NoRoom,Running');
    await running.kubectl(['delete', 'luvm', ...pair, '--timeout=30s']);
  }, 120_000);

  it('a frozen leader is replaced by the standby, and writes nothing when it resumes', async () => {
    const before = await fleet('frozen');
    const { leader, standby } = await rolesOf(running);
    const { pid } = leader.process;
    if (pid === undefined) throw new Error('the leader has no process');
    const formerHolder = await holder();
    process.kill(pid, 'SIGSTOP');
    await running.apply('frozen-newcomer', { nodeName: 'win-node-c' });
    await running.until('the standby leads', () => leads(standby));
    await running.untilMachine('frozen-newcomer', 'runs under the next leader', isRunning);
    expect(await holder()).not.toBe(formerHolder);

    // The frozen leader would write about this, had it not lost the Lease.
    await Promise.all(nodeNames.map((nodeName) => running.apply(`awaited-${nodeName}`, { nodeName })));
    process.kill(pid, 'SIGCONT');
    await running.until('the former leader knows', async () => (await metricOf(leader, 'lcow_leader')) === '0');
    await Promise.all(nodeNames.map((name) => running.untilMachine(`awaited-${name}`, 'runs', isRunning)));
    await running.until('every agent is with the next leader', async () => {
      return (await metricOf(standby, 'lcow_agent_sessions')) === String(nodeNames.length);
    });
    expect((await audit()).after(formerHolder)).toEqual([]);
    await expectUntouched('frozen', before);
    await running.kubectl(['delete', 'luvm', 'frozen-newcomer', '--timeout=30s']);
    await remove('awaited');
    await remove('frozen');
  }, 180_000);

  it('a leader that stops in order is replaced', async () => {
    const before = await fleet('stopped');
    const { leader, standby } = await rolesOf(running);
    await leader.process.stop();
    await running.until('the standby leads', () => leads(standby));
    await running.until('every agent is with the next leader', async () => {
      return (await metricOf(standby, 'lcow_agent_sessions')) === String(nodeNames.length);
    });
    await expectUntouched('stopped', before);
    await remove('stopped');
  }, 120_000);

  it('only the replica with the newest epoch of a host wrote about its VMs', async () => {
    const { writes, outOfTurn } = await audit();
    expect(new Set(writes.map(({ replica }) => replica)).size).toBeGreaterThan(2);
    expect(outOfTurn).toEqual([]);
  });
});
