import { describe, expect, it } from 'vitest';
import { decide } from '../../../agent/vm/decision.ts';
import { type MachineRecord, newRecord } from '../../../agent/vm/record.ts';
import type { Assignment, LastExit } from '../../../protocol/messages.ts';
import { makeAssignment, someUid } from '../../support/agent/assignments.ts';

const agentBootID = '11111111-2222-4333-8444-555555555555';
const exit = (type: LastExit['type']): LastExit => ({ type, time: '2026-01-01T00:00:00Z', message: 'ended' });

function recordOf(assignment: Partial<Assignment>, changes: Partial<MachineRecord> = {}): MachineRecord {
  return { ...newRecord(someUid, agentBootID), assignment: makeAssignment(assignment), ...changes };
}

const starts = { kind: 'start', notBefore: 0 };
const settled = (reason: string) => ({ kind: 'settled', reason });

describe('the table of run strategies', () => {
  it.each([
    ['Always', starts],
    ['RerunOnFailure', starts],
    ['Once', starts],
    ['Halted', settled('Halted')],
  ] as const)('%s: a VM that never ran', (runStrategy, expected) => {
    expect(decide(recordOf({ runStrategy }), 'absent', false)).toEqual(expected);
  });

  it.each([
    ['Always', 'GracefulExit', starts],
    ['Always', 'UnexpectedExit', starts],
    ['Always', 'AgentExit', starts],
    ['RerunOnFailure', 'GracefulExit', settled('Completed')],
    ['RerunOnFailure', 'UnexpectedExit', starts],
    ['RerunOnFailure', 'ForcedExit', starts],
    ['RerunOnFailure', 'AgentExit', starts],
    ['Once', 'GracefulExit', settled('Completed')],
    ['Once', 'UnexpectedExit', settled('Failed')],
    ['Once', 'ForcedExit', settled('Failed')],
    ['Once', 'AgentExit', settled('AgentRestarted')],
    ['Halted', 'UnexpectedExit', settled('Halted')],
  ] as const)('%s: a VM that was Running and ended with %s', (runStrategy, type, expected) => {
    const record = recordOf({ runStrategy }, { hasRun: true, lastExit: exit(type) });
    expect(decide(record, 'absent', false)).toEqual(expected);
  });

  it('Once: a start that failed before the VM was Running is tried again', () => {
    expect(decide(recordOf({ runStrategy: 'Once' }, { failures: 3 }), 'absent', false)).toEqual(starts);
  });

  it('waits for the backoff', () => {
    const retryAfter = '2026-01-01T00:01:00.000Z';
    const decision = decide(recordOf({}, { retryAfter }), 'absent', false);
    expect(decision).toEqual({ kind: 'start', notBefore: Date.parse(retryAfter) });
  });
});

describe('a running VM', () => {
  it.each(['Always', 'RerunOnFailure', 'Once'] as const)('stays with %s', (runStrategy) => {
    expect(decide(recordOf({ runStrategy }), 'running', false)).toEqual(settled('Running'));
  });

  it('stops when its run strategy becomes Halted', () => {
    expect(decide(recordOf({ runStrategy: 'Halted' }), 'running', false)).toEqual({ kind: 'stop', reason: 'Halted' });
  });

  it('stops for a restart request that was not carried out yet, and for no other', () => {
    const asked = recordOf({ restartedAt: 'b' }, { restartedAt: 'a' });
    expect(decide(asked, 'running', false)).toEqual({ kind: 'stop', reason: 'Restarting' });
    expect(decide({ ...asked, restartedAt: 'b' }, 'running', false)).toEqual(settled('Running'));
  });

  it.each([
    ['OnRestart', settled('Running')],
    ['Recreate', { kind: 'stop', reason: 'RestartRequired' }],
  ] as const)('with other options and updateStrategy %s', (updateStrategy, expected) => {
    const applied = {
      options: {},
      optionsDigest: 'f'.repeat(64),
      documentDigest: '0'.repeat(64),
      outlivesAgent: false,
      processorCount: 2,
      memorySizeInMB: 1024,
      osBuild: 20348,
      scsiControllers: 4,
      warnings: [],
      devices: { vpmem: [], scsi: [], assigned: [] },
      execAllowed: true,
    };
    expect(
      decide(recordOf({ updateStrategy, options: { KernelFile: 'kernel' } }, { applied }), 'running', false),
    ).toEqual(expected);
  });
});

describe('independent of the run strategy', () => {
  it.each(['absent', 'booting', 'running'] as const)('a paused VM that is %s stays as it is', (presence) => {
    expect(decide(recordOf({ paused: true, runStrategy: 'Halted' }), presence, false)).toEqual({ kind: 'leave' });
  });

  it.each(['absent', 'booting', 'running'] as const)(
    'a VM without an assignment that is %s stays as it is',
    (presence) => {
      expect(decide(newRecord(someUid, agentBootID), presence, false)).toEqual({ kind: 'leave' });
    },
  );

  it('a release tears down every VM, even a paused or unassigned one', () => {
    expect(decide(recordOf({ paused: true }), 'running', true)).toEqual({ kind: 'stop', reason: 'Terminating' });
    expect(decide(newRecord(someUid, agentBootID), 'running', true)).toEqual({ kind: 'stop', reason: 'Terminating' });
  });
});
