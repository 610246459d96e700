// An agent on a simulated host: VMs boot, end and go in simulated time only.
import { describe, expect, it } from 'vitest';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import type { Assignment } from '../../../protocol/messages.ts';
import { hasReason, isRunning } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { AgentBed } from './agent-bed.ts';

const minute = 60_000;
const systemID = systemIdOf(uid);

function isUp(bed: AgentBed, which = uid): boolean {
  const observed = bed.observed(which);
  return observed !== undefined && isRunning(observed);
}

/** Whether the VM is ready, or not ready, for this reason. */
function isReady(bed: AgentBed, reason: string): boolean {
  const observed = bed.observed(uid);
  return observed !== undefined && hasReason(reason)(observed);
}

async function booted(changes: Partial<Assignment> = {}, seed = 1): Promise<AgentBed> {
  const bed = new AgentBed({ seed });
  bed.assign(makeAssignment(changes));
  await bed.until('running', () => isUp(bed));
  return bed;
}

describe('an agent on a simulated host', () => {
  it('boots a VM, halts it and removes it', async () => {
    const bed = await booted();
    expect(bed.observed(uid)).toMatchObject({ systemID, guest: { osType: 'linux', protocolVersion: 4 } });
    expect(bed.observed(uid)?.guestLog.head[0]).toContain('GCS started');
    expect(bed.host.living()).toMatchObject([{ id: systemID, uid, state: 'Running' }]);
    bed.assign(makeAssignment({ runStrategy: 'Halted', generation: 2 }));
    await bed.until('halted', () => isReady(bed, 'Halted'));
    expect(bed.host.systems()).toEqual([]);
    bed.release(uid);
    await bed.until('removed', () => bed.removed.has(uid));
    expect(bed.host.counts.get(systemID)).toEqual({ creates: 1, starts: 1, guestsUp: 1, terminates: 1 });
    expect(bed.host.files.table.entries().filter(({ path }) => path.includes('lcow'))).toEqual([]);
  });

  it('starts a VM again whose guest crashed', async () => {
    const bed = await booted();
    bed.host.crashGuest(systemID);
    await bed.until('running again', () => isUp(bed) && bed.observed(uid)?.restarts === 1);
    expect(bed.observed(uid)?.lastExit?.type).toBe('UnexpectedExit');
  });

  it('takes its VM along when it dies, and the next agent starts it again', async () => {
    const bed = await booted();
    bed.killAgent();
    await bed.run(500);
    expect(bed.host.living()).toEqual([]);
    await bed.until('running again', () => isUp(bed));
    expect(bed.observed(uid)).toMatchObject({ restarts: 1, lastExit: { type: 'AgentExit' } });
  });

  it('finds a VM that outlives it never stopped', async () => {
    const bed = await booted({ options: { TerminateOnAgentExit: false } });
    const before = bed.observed(uid);
    bed.killAgent();
    await bed.run(500);
    expect(bed.host.living()).toMatchObject([{ state: 'Running' }]);
    await bed.until('adopted', () => isUp(bed));
    expect(bed.observed(uid)?.runtimeID).toBe(before?.runtimeID);
    expect(bed.host.counts.get(systemID)).toMatchObject({ creates: 1, starts: 1 });
  });

  it('begins again when the compute service restarts, and keeps the VM', async () => {
    const bed = await booted({ options: { TerminateOnAgentExit: false } });
    const before = bed.observed(uid);
    bed.host.restartService();
    await bed.until('noticed', () => bed.observed(uid) === undefined);
    await bed.until('found again', () => isUp(bed));
    expect(bed.observed(uid)?.runtimeID).toBe(before?.runtimeID);
  });

  it('begins again when it finds only at a boot that the compute service restarted', async () => {
    const bed = new AgentBed({ seed: 1 });
    await bed.run(1000);
    bed.host.restartService();
    bed.assign(makeAssignment());
    await bed.until('running', () => isUp(bed), minute);
  });

  it('attaches a disk again when it does not know whether the first attempt took effect', async () => {
    const bed = await booted();
    bed.host.setFaults({ failingAnswer: 1 });
    const data = { name: 'data', path: 'C:\\disks\\data.vhd', readOnly: false, mountPath: '/mnt/data' };
    bed.assign(makeAssignment({ options: { Disks: [data] }, generation: 2 }));
    await bed.until('in doubt', () => isReady(bed, 'DiskFailed'));
    expect(bed.host.systems()[0]?.disks).toEqual({ '0:0': data.path });
    bed.host.setFaults({});
    await bed.until('attached', () => isUp(bed));
    expect(Object.values(bed.host.systems()[0]?.disks ?? {})).toEqual([data.path]);
  });

  it('gives up a look at the host that does not come back, and can remove the VM', async () => {
    const bed = new AgentBed({ seed: 1 });
    await bed.run(1000);
    bed.host.setFaults({ hangingQuery: 1 });
    bed.assign(makeAssignment());
    await bed.until('given up', () => isReady(bed, 'HostQueryFailed'));
    bed.release(uid);
    await bed.until('removed', () => bed.removed.has(uid));
  });

  it('starts everything again after the host lost its power', async () => {
    const bed = await booted();
    const before = bed.observed(uid);
    bed.powerLoss();
    expect(bed.host.systems()).toEqual([]);
    await bed.until('running again', () => isUp(bed));
    expect(bed.observed(uid)?.runtimeID).not.toBe(before?.runtimeID);
  });

  it('does the same for the same seed', async () => {
    const traceOf = async (seed: number) => {
      const lines: string[] = [];
      const faults = { slowCall: 0.05, guestCrash: 0.3, lateExitEvent: 0.3 };
      const bed = new AgentBed({ seed, faults, trace: (line) => lines.push(line) });
      bed.assign(makeAssignment());
      await bed.run(20 * minute);
      return lines.join('\n');
    };
    expect(await traceOf(3)).toBe(await traceOf(3));
  });
});
