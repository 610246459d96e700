// The VMs of an agent process that is killed. Agent and service are separate processes, as in production (design §8).
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { connectSimulatedHost } from '../../../simulator/client/client.ts';
import { SimulatedHostControl } from '../../../simulator/client/control.ts';
import { defaultHost, newSystemId, ordinaryDocument } from '../../support/agent/simulated-node.ts';
import { until } from '../../support/until.ts';

const program = (name: string) => new URL(name, import.meta.url).pathname;

/** Resolves with the process once it has written a line. */
async function run(file: string, ...args: string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  if (child.stdout !== null) await once(child.stdout, 'data');
  return child;
}

async function kill(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

describe('a killed agent', () => {
  let folder: string;
  let service: ChildProcess;
  let control: SimulatedHostControl;
  let socketPath: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sim-'));
    socketPath = join(folder, 'hcs');
    const hostFile = join(folder, 'host.yaml');
    await writeFile(hostFile, stringify(defaultHost));
    const main = program('../../../simulator/service/main.ts');
    service = await run(main, '--socket', socketPath, '--host', hostFile, '--state-dir', join(folder, 'state'));
    control = await SimulatedHostControl.connect(socketPath);
  });

  afterEach(async () => {
    await control.close();
    await kill(service, 'SIGTERM');
    await rm(folder, { recursive: true, force: true });
  });

  function startAgent(id: string, terminatesWithLastHandle: boolean): Promise<ChildProcess> {
    const document = JSON.stringify(ordinaryDocument({ terminatesWithLastHandle }));
    return run(program('../../support/agent/holding-client.ts'), socketPath, join(folder, 'g'), id, document);
  }

  it('ends the VMs that end with their last handle', async () => {
    const id = newSystemId();
    const agent = await startAgent(id, true);
    expect(await control.system(id)).toMatchObject({ state: 'Running', handles: 1 });
    await kill(agent, 'SIGKILL');
    await until('the VM is gone', async () => (await control.system(id)) === undefined);
  });

  it('leaves the VMs running that outlive it, and a new agent finds them', async () => {
    const id = newSystemId();
    const agent = await startAgent(id, false);
    const before = await control.system(id);
    await kill(agent, 'SIGKILL');
    await until('its handle ran down', async () => (await control.system(id))?.handles === 0);
    const connection = await connectSimulatedHost(socketPath, join(folder, 'g'));
    const [found] = await connection.backend.enumerate();
    expect(found).toEqual({ id, owner: 'lcow-agent', state: 'Running', runtimeId: before?.runtimeId });
    const system = await connection.backend.open(id);
    await system.terminate();
    expect(await system.ended).toMatchObject({ exit: { exitType: 'ForcedExit' } });
    await connection.close();
    await until('the VM is gone', async () => (await control.system(id)) === undefined);
  });

  it('leaves a VM running that another client holds too', async () => {
    const id = newSystemId();
    const agent = await startAgent(id, true);
    const connection = await connectSimulatedHost(socketPath, join(folder, 'g'));
    const system = await connection.backend.open(id);
    await kill(agent, 'SIGKILL');
    await until('one handle is left', async () => (await control.system(id))?.handles === 1);
    expect((await system.properties()).state).toBe('Running');
    await connection.close();
    await until('the VM is gone', async () => (await control.system(id)) === undefined);
  });

  it('leaves no VM behind that it was creating', async () => {
    const id = newSystemId();
    const rule = await control.script({ at: 'create', stall: true });
    const document = JSON.stringify(ordinaryDocument());
    const file = program('../../support/agent/holding-client.ts');
    const agent = spawn(process.execPath, [file, socketPath, join(folder, 'g'), id, document], { stdio: 'ignore' });
    await until('it asked', async () => (await control.visits()).some(({ step }) => step === 'create'));
    await kill(agent, 'SIGKILL');
    await control.release(rule);
    // A system that is created later exists only when the stalled one has been created and removed.
    const connection = await connectSimulatedHost(socketPath, join(folder, 'g'));
    const later = await connection.backend.create(newSystemId(), document);
    await until('only the later one is left', async () => (await control.systems()).length === 1);
    expect((await control.systems()).map((system) => system.id)).toEqual([later.id]);
    await connection.close();
  });
});

describe('a node that loses its power', () => {
  it('keeps its files and loses its VMs', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sim-'));
    const hostFile = join(folder, 'host.yaml');
    const args = ['--socket', join(folder, 'hcs'), '--host', hostFile, '--state-dir', join(folder, 'state')];
    await writeFile(hostFile, stringify(defaultHost));
    const main = program('../../../simulator/service/main.ts');
    const first = await run(main, ...args);
    const before = await connectSimulatedHost(join(folder, 'hcs'), join(folder, 'g'));
    const document = JSON.stringify(ordinaryDocument({ terminatesWithLastHandle: false }));
    const system = await before.backend.create(newSystemId(), document);
    await before.host.copyFile('C:\\disks\\data.vhd', 'D:\\copy.vhd');
    await kill(first, 'SIGKILL');
    expect((await system.ended).kind).toBe('serviceDisconnected');
    const second = await run(main, ...args);
    const after = await connectSimulatedHost(join(folder, 'hcs'), join(folder, 'g'));
    expect(await after.backend.enumerate()).toEqual([]);
    expect(await after.host.stat('D:\\copy.vhd')).toEqual({ kind: 'file', size: 3000 });
    await after.close();
    await kill(second, 'SIGTERM');
    await rm(folder, { recursive: true, force: true });
  });
});
