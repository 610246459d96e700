// The disks of VMs after each kind of stop that an administrator can cause, in a complete system of processes. The
// guests write and do not sync.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { SimulatedHostControl } from '../../simulator/client/control.ts';
import { condition, isReady, isRunning, type Machine, RunningSystem } from '../support/system/running-system.ts';

const node = 'win-2022-a';
const other = 'win-2022-b';
const names = ['moving', 'pinned', 'outliving', 'deleted', 'ending'] as const;
const diskOf = (name: string) => `C:\\disks\\${name}.vhd`;
const hostFile = {
  build: 20348,
  logicalProcessors: 16,
  memoryInMB: 32_768,
  files: {
    'C:\\LinuxBootFiles\\kernel': 1_000,
    'C:\\LinuxBootFiles\\vmlinux': 1_000,
    'C:\\LinuxBootFiles\\initrd.img': 2_000,
    ...Object.fromEntries(names.map((name) => [diskOf(name), 4_096])),
  },
};

let folder: string;
let running: RunningSystem;
let control: SimulatedHostControl;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stops-'));
  // JSON is valid YAML.
  await writeFile(join(folder, 'host.yaml'), JSON.stringify(hostFile));
  running = await RunningSystem.start(new Map([node, other].map((name) => [name, join(folder, 'host.yaml')])));
  control = await running.control(node);
}, 900_000);
afterAll(async () => {
  await control?.close();
  await running?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

afterEach(async () => {
  await control.release();
  await running.kubectl(['delete', 'luvm', '--all', '--timeout=60s']);
});

/** Starts a VM on the node with an unsynced file on its disk. */
async function startWriting(name: (typeof names)[number], spec: Readonly<Record<string, unknown>>): Promise<Machine> {
  const disks = [{ name: 'data', path: diskOf(name), mountPath: '/mnt/data' }];
  await running.apply(name, { ...spec, storage: { disks } });
  const found = await running.untilMachine(name, 'runs', isRunning);
  expect(found.status.nodeName).toBe(node);
  await control.writeFile(`luvm-${found.metadata.uid}`, '/mnt/data/written');
  return found;
}

async function isWritten(name: string): Promise<boolean> {
  return (await control.diskFiles())[diskOf(name)]?.includes('written') === true;
}

const halt = (name: string) =>
  running.kubectl(['patch', 'luvm', name, '--type=merge', '-p', '{"spec":{"runStrategy":"Halted"}}']);
const isHalted = (found: Machine) =>
  found.status.phase === 'Stopped' && isReady(found) && condition(found, 'Ready')?.reason === 'Halted';
const terminated = 'the VM was terminated by the agent (Halted)';

/** The guest has been told to unmount, and does not do it. */
async function untilUnmounting(begin: () => Promise<unknown>): Promise<void> {
  const changes = async () => (await control.visits()).filter(({ step }) => step === 'guestModify').length;
  const before = await changes();
  await control.script({ at: 'guestModify', stall: true, fail: { message: 'in vain' }, times: 'always' });
  await begin();
  await running.until('the guest is told to unmount', async () => (await changes()) > before);
}

describe('what VMs have written', () => {
  it('is on their disks when their host is drained, whether they move or are halted there', async () => {
    await running.kubectl(['label', 'node', node, 'pool=stops', '--overwrite']);
    await startWriting('moving', { nodeSelector: { pool: 'stops' } });
    await startWriting('pinned', { nodeName: node });
    await running.kubectl(['label', 'node', other, 'pool=stops', '--overwrite']);
    await running.kubectl(['taint', 'node', node, 'lcow.dev/drain=:NoExecute']);
    const moved = await running.untilMachine('moving', 'runs elsewhere', (now) => {
      return isRunning(now) && now.status.nodeName === other;
    });
    const pinned = await running.untilMachine('pinned', 'is halted', (now) => {
      return now.status.phase === 'Stopped' && condition(now, 'Ready')?.reason === 'HostDrained';
    });
    for (const { status } of [moved, pinned]) {
      const stop = status === pinned.status ? 'Halted' : 'Terminating';
      expect(status.lastExit).toMatchObject({ message: `the VM was terminated by the agent (${stop})` });
    }
    expect([await isWritten('moving'), await isWritten('pinned')]).toEqual([true, true]);
    await running.kubectl(['taint', 'node', node, 'lcow.dev/drain-']);
    await running.untilMachine('pinned', 'runs again', isRunning);
  });

  it('is on their disks when the agent is killed in the middle of a stop, and the next one goes on', async () => {
    await startWriting('outliving', { nodeName: node, terminateOnAgentExit: false });
    await untilUnmounting(() => halt('outliving'));
    await running.system.node(node).agent.stop('SIGKILL');
    expect(await isWritten('outliving')).toBe(false);
    await control.release();
    await running.system.node(node).agent.start();
    const { status } = await running.untilMachine('outliving', 'is halted', isHalted);
    expect(status.lastExit).toMatchObject({ type: 'ForcedExit', message: terminated });
    expect(await isWritten('outliving')).toBe(true);
  });

  it('is on their disks when they are deleted while they are being halted', async () => {
    const { metadata } = await startWriting('deleted', { nodeName: node });
    await untilUnmounting(() => halt('deleted'));
    await running.kubectl(['delete', 'luvm', 'deleted', '--wait=false']);
    await running.until('it is to go', async () => (await running.get('deleted'))?.status.phase === 'Stopping');
    await control.release();
    await running.until('it is gone', async () => (await running.get('deleted')) === undefined);
    expect(await isWritten('deleted')).toBe(true);
    const ends = (await control.visits()).filter(
      ({ step, system }) => step === 'terminate' && system === `luvm-${metadata.uid}`,
    );
    expect(ends).toHaveLength(1);
  });

  it('is on their disks when their agent is told to end and they end with it', async () => {
    await startWriting('ending', { nodeName: node });
    await running.system.node(node).agent.stop('SIGTERM');
    expect(await isWritten('ending')).toBe(true);
    expect(await control.systems()).toEqual([]);
    await running.system.node(node).agent.start();
    const { status } = await running.untilMachine('ending', 'runs again', (now) => {
      return isRunning(now) && now.status.lastExit !== undefined;
    });
    expect(status.lastExit).toMatchObject({
      type: 'AgentExit',
      message: 'the VM ended together with the agent that ran it',
    });
  });
});
