// What others do on the node: somebody ends VMs of the agent, has compute systems with similar ids, or fills the disk.
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { nodeFileSystem } from '../../../agent/storage/file-system.ts';
import { FileJournal } from '../../../agent/vm/journal.ts';
import { newRecord } from '../../../agent/vm/record.ts';
import { condition, hasReason, isRunning, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { bootFolder, defaultHost, ordinaryDocument, startNode } from '../../support/agent/simulated-node.ts';
import { until } from '../../support/until.ts';

const systemID = systemIdOf(uid);

describe('a VM that somebody else ends', () => {
  it.each([
    ['Always', 'again'],
    ['RerunOnFailure', 'again'],
    ['Once', 'Failed'],
  ] as const)(
    'runs again or fails as its run strategy says, and reports the exit: %s, %s',
    async (runStrategy, then) => {
      await using node = await startNode();
      await using core = await startCore(node);
      await core.supervisor.assign(makeAssignment({ runStrategy }));
      const before = await core.until(uid, 'running', isRunning);
      const stranger = await node.connect();
      const opened = await stranger.backend.open(systemID);
      await opened.terminate();
      await opened.ended;
      await opened.close();
      const holds = then === 'again' ? isRunning : hasReason(then);
      const after = await core.until(uid, then, (now) => holds(now) && now.lastExit !== undefined);
      expect(after.lastExit?.type).toBe('ForcedExit');
      if (then === 'again') expect(after.runtimeID).not.toBe(before.runtimeID);
    },
  );

  it('is cleaned up even when it was not running yet', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    const rule = await node.control.script({ at: 'start', stall: true });
    await core.supervisor.assign(makeAssignment());
    await until('created', async () => (await node.control.system(systemID))?.state === 'Created');
    const stranger = await node.connect();
    const opened = await stranger.backend.open(systemID);
    await opened.terminate();
    await opened.ended;
    await opened.close();
    await node.control.release(rule);
    await core.until(uid, 'running after all', isRunning);
    expect(await node.control.systems()).toHaveLength(1);
  });
});

describe('a foreign compute system', () => {
  const document = { ...ordinaryDocument({ terminatesWithLastHandle: false }), Owner: 'somebody-else' };

  it("with the id of one of the agent's VMs is never touched: the VM reports why it cannot be created, and can be removed", async () => {
    await using node = await startNode();
    const stranger = await node.connect();
    const theirs = await stranger.backend.create(systemID, JSON.stringify(document));
    await theirs.start();
    const before = await theirs.properties();
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    const refused = await core.until(
      uid,
      'refused',
      (now) => condition(now, 'Ready')?.message.includes('SYSTEM_ALREADY_EXISTS') ?? false,
    );
    expect(refused.phase).not.toBe('Running');
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    expect(await theirs.properties()).toEqual(before);
    const steps = (await node.control.visits()).map(({ step }) => step);
    expect(steps).not.toContain('terminate');
    expect(steps).not.toContain('shutdown');
  });

  it('with a similar id is not reported as a VM', async () => {
    await using node = await startNode();
    const stranger = await node.connect();
    await stranger.backend.create(systemIdOf('11111111-2222-4333-8444-555555555555'), JSON.stringify(document));
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'running', isRunning);
    expect(core.supervisor.uids()).toEqual([uid]);
    expect(await node.control.systems()).toHaveLength(2);
  });
});

describe('a disk that refuses writes', () => {
  const files = { ...defaultHost.files, [`${bootFolder}\\kernel.vmgs`]: 4096, [`${bootFolder}\\rootfs.vhd`]: 8192 };
  const options = { SecurityPolicy: 'cGFja2FnZSBwb2xpY3k=', SecurityPolicyEnabled: true };

  it.each(['There is not enough space on the disk.', 'Access is denied.'])(
    'fails the staging of a VM with "%s" and leaves nothing of it; the VM runs once the fault is gone',
    async (message) => {
      await using node = await startNode({ files, isolation: ['SNP'] });
      // The first copy succeeds, so there is something to undo.
      const rule = await node.control.script({ at: 'copy', skip: 1, fail: { message }, times: 'always' });
      await using core = await startCore(node);
      await core.supervisor.assign(makeAssignment({ options }));
      const failed = await core.until(uid, 'failed', hasReason('StagingFailed'));
      expect(condition(failed, 'Ready')?.message).toContain(message);
      const staged = async () => (await node.control.files()).filter(({ path }) => path.includes(uid));
      await until('nothing is left of a try', async () => (await staged()).length === 0);
      expect((await node.control.visits()).map(({ step }) => step)).not.toContain('create');
      await node.control.release(rule);
      await core.until(uid, 'running', isRunning);
    },
  );

  const record = { ...newRecord(uid, crypto.randomUUID()), restarts: 3 };

  it('leaves the journal unchanged when it is full', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'full-'));
    const journal = new FileJournal(nodeFileSystem, folder);
    await journal.write(record);
    // Every write to this device fails, because it is full.
    await symlink('/dev/full', join(folder, 'vms', uid, 'vm.json.new'));
    await expect(journal.write({ ...record, restarts: 4 })).rejects.toMatchObject({ code: 'ENOSPC' });
    expect((await journal.load()).records).toEqual([record]);
    await rm(folder, { recursive: true });
  });

  it('makes the agent report that the journal cannot be written, and write it when that is possible', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'denied-'));
    const journal = new FileJournal(nodeFileSystem, folder);
    await mkdir(join(folder, 'vms'));
    await writeFile(join(folder, 'vms', uid), 'a file in the way');
    await expect(journal.write(record)).rejects.toMatchObject({ code: expect.stringMatching(/EEXIST|ENOTDIR/) });
    await rm(join(folder, 'vms', uid));
    await journal.write(record);
    expect((await journal.load()).records).toEqual([record]);
    expect(await readdir(join(folder, 'vms', uid))).toEqual(['vm.json']);
    await rm(folder, { recursive: true });
  });
});
