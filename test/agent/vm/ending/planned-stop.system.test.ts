// A planned stop unmounts the guest's disks: unsynced writes are on the disks afterwards, or `lastExit` says that they
// are not.
import { describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../../../runtime/clock.ts';
import { hasReason, isRunning, startCore } from '../../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../../support/agent/assignments.ts';
import { startNode, type TestNode } from '../../../support/agent/simulated-node.ts';
import {
  data,
  halt,
  halted,
  hostWithDisks as host,
  isHalted,
  optionsWith,
  other,
  outlives,
  patient,
  run,
  startWriting,
  systemID,
  tellToHalt,
  terminated,
  write,
  written,
} from '../../../support/agent/writing-guest.ts';
import { until } from '../../../support/until.ts';

/** Holds the mount with something that is not a process, so the agent cannot end it. */
async function holdFromInside(node: TestNode, path: string): Promise<void> {
  await node.control.holdOpen(systemID, path);
}

describe('a VM that is stopped on purpose', () => {
  it('leaves its disks unmounted when it is halted', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    const { lastExit } = await halt(core);
    expect(lastExit).toMatchObject({ type: 'ForcedExit', message: 'the VM was terminated by the agent (Halted)' });
    expect(await written(node)).toEqual([true, true]);
  });

  it('leaves its disks unmounted when it is restarted, and can write again afterwards', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    await core.supervisor.assign(makeAssignment({ options: optionsWith(), restartedAt: 'now', generation: 2 }));
    await core.until(uid, 'again', (now) => isRunning(now) && now.restartedAt === 'now');
    expect(await written(node)).toEqual([true, true]);
    await write(core);
  });

  it('leaves its disks unmounted when a change needs a restart', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    const options = optionsWith({ ProcessorCount: 4 });
    await core.supervisor.assign(makeAssignment({ options, updateStrategy: 'Recreate', generation: 2 }));
    const again = await core.until(uid, 'again', (now) => isRunning(now) && now.processorCount === 4);
    expect(again.lastExit?.message).toBe('the VM was terminated by the agent (RestartRequired)');
    expect(await written(node)).toEqual([true, true]);
  });

  it('leaves its disks unmounted when it is halted by an intent without options', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    const { namespace, name, paused, remembered } = halted();
    await core.supervisor.intend({ uid, namespace, name, paused, remembered, generation: 2, runStrategy: 'Halted' });
    expect((await core.until(uid, 'halted', isHalted)).lastExit?.message).toBe(terminated);
    expect(await written(node)).toEqual([true, true]);
  });

  it('leaves its disks unmounted when it is released, for whatever reason', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    expect(await written(node)).toEqual([true, true]);
  });

  it('leaves its disks unmounted when its agent ends, and reports that', async () => {
    await using node = await startNode(host);
    const first = await startCore(node, { timeouts: patient });
    await startWriting(first);
    await first.supervisor.endWithAgent();
    expect(await written(node)).toEqual([true, true]);
    expect(await node.control.systems()).toEqual([]);
    await first.kill();
    await using second = await startCore(node);
    const { lastExit } = await second.until(uid, 'again', isRunning);
    expect(lastExit).toMatchObject({ type: 'AgentExit', message: 'the VM ended together with the agent that ran it' });
  });

  it('continues to run when its agent ends, if terminateOnAgentExit is false', async () => {
    await using node = await startNode(host);
    const first = await startCore(node);
    await startWriting(first, outlives);
    await first.supervisor.endWithAgent();
    expect(first.observed(uid)).toMatchObject({ phase: 'Running' });
    expect((await node.control.system(systemID))?.guest?.mounts).toEqual({ '/mnt/data': '0:0', '/mnt/other': '0:1' });
    await first.kill();
  });

  it('ends the processes that users have started before it unmounts the disks', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    const holder = await run(core, 'tail', '-f', '/mnt/data/written');
    const { lastExit } = await halt(core);
    expect(await holder.exitCode).toBe(0xffff_ffff);
    expect(lastExit?.message).toBe('the VM was terminated by the agent (Halted)');
    expect(await written(node)).toEqual([true, true]);
  });

  it('syncs a disk that cannot be unmounted, and names that disk', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    await holdFromInside(node, '/mnt/data/written');
    const { lastExit } = await halt(core);
    expect(lastExit?.message).toBe(
      'the VM was terminated by the agent (Halted); /mnt/data (guest RPC failure: failed to unmount /mnt/data: ' +
        'device or resource busy) stayed mounted and was synced and made read-only',
    );
    expect(await written(node)).toEqual([true, true]);
  });

  it('reports that nothing was synced when its guest is not connected, without waiting for it', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    await node.control.script({ at: 'bridge', stall: true });
    await node.control.dropBridge(systemID);
    await core.until(uid, 'lost', hasReason('GuestConnectionLost'));
    const { lastExit } = await halt(core);
    expect(lastExit?.message).toBe(
      'the VM was terminated by the agent (Halted); /mnt/data, /mnt/other stayed mounted and were not synced: ' +
        'the guest is not connected',
    );
    expect(await written(node)).toEqual([false, false]);
  });

  it('is terminated although its guest no longer answers', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: { ...patient, leaveDisks: 200, leaveProcesses: 20 } });
    await startWriting(core);
    await node.control.script({ at: 'guestModify', stall: true, times: 'always' });
    await node.control.script({ at: 'guestExec', stall: true, times: 'always' });
    const { lastExit } = await halt(core);
    expect(lastExit?.message).toMatch(/stayed mounted and were not synced: the guest has not answered within/);
  });

  it('is synced at once when an earlier mount is still unanswered', async () => {
    await using node = await startNode(host);
    // A request that the guest does not answer is given up at once, however long the first mount takes.
    const guestChange = 77_777;
    let stalls = false;
    const after: Clock['after'] = (milliseconds, task) =>
      systemClock.after(stalls && milliseconds === guestChange ? 0 : milliseconds, task);
    const clock = { ...systemClock, after };
    const timeouts = { ...patient, leaveDisks: 600_000, guestChange };
    await using core = await startCore(node, { clock, timeouts });
    await core.supervisor.assign(makeAssignment({ options: { Disks: [data] } }));
    await core.until(uid, 'running', isRunning);
    expect(await (await run(core, 'sh', '-c', 'echo new > /mnt/data/written')).exitCode).toBe(0);
    await node.control.script({ at: 'guestModify', stall: true, times: 'always' });
    stalls = true;
    await core.supervisor.assign(makeAssignment({ options: { Disks: [data, other] }, generation: 2 }));
    await core.until(uid, 'unanswered', hasReason('DiskFailed'));
    const { lastExit } = await halt(core);
    expect(lastExit?.message).toContain('/mnt/data, /mnt/other stayed mounted and were synced and made read-only');
    expect((await node.control.diskFiles())[data.path]).toContain('written');
  });

  it('is stopped from the first step by the next agent when one dies in the middle', async () => {
    await using node = await startNode(host);
    const first = await startCore(node, { timeouts: patient });
    await startWriting(first, outlives);
    const unmount = { at: 'guestModify', stall: true, fail: { message: 'died' }, times: 'always' } as const;
    const rule = await node.control.script(unmount);
    await tellToHalt(first, outlives);
    await until('in the middle', async () => (await node.control.visits()).filter(isUnmount).length === 4);
    await first.vanish();
    expect(await written(node)).toEqual([false, false]);
    await node.control.release(rule);
    await using second = await startCore(node, { timeouts: patient });
    const { lastExit } = await second.until(uid, 'halted', hasReason('Halted'));
    expect(lastExit).toMatchObject({ type: 'ForcedExit', message: 'the VM was terminated by the agent (Halted)' });
    expect(await written(node)).toEqual([true, true]);
  });
});

/** Two mounts and two unmounts. */
const isUnmount = ({ step }: { readonly step: string }) => step === 'guestModify';
