// `lastExit` has everything that HCS reports about the end of a VM that was being stopped, and the outcome of its
// disks. That also holds when the VM ended by itself during the stop, and when its agent died.
import { describe, expect, it } from 'vitest';
import { describeLeft } from '../../../../agent/vm/ending/stop-report.ts';
import { stopped } from '../../../../agent/vm/history.ts';
import { newRecord } from '../../../../agent/vm/record.ts';
import { lastExit as lastExitSchema } from '../../../../protocol/messages.ts';
import { type AgentCore, isRunning, startCore } from '../../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../../support/agent/assignments.ts';
import { startNode, type TestNode } from '../../../support/agent/simulated-node.ts';
import { unguestedAssignment, unguestedNode } from '../../../support/agent/unguested-node.ts';
import {
  hostWithDisks as host,
  isHalted,
  notSynced,
  outlives,
  patient,
  startWriting,
  systemID,
  tellToHalt,
  terminated,
  untilLeaving,
} from '../../../support/agent/writing-guest.ts';
import { ComputeCoreDouble } from '../../../support/doubles/computecore.ts';
import { until } from '../../../support/until.ts';

const panic = /the VM ended unexpectedly \(status 0xc0370106, GuestCrash\)/;

async function visits(node: TestNode, step: string): Promise<number> {
  return (await node.control.visits()).filter((visit) => visit.step === step).length;
}

describe('a guest that panics while its VM is being stopped', () => {
  it('is reported with everything that HCS says', async () => {
    await using node = await startNode(host);
    await using core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    await untilLeaving(node, () => tellToHalt(core));
    await node.control.endGuest(systemID, 'panic');
    const { lastExit } = await core.until(uid, 'halted', isHalted);
    expect(lastExit?.type).toBe('UnexpectedExit');
    expect(lastExit?.message).toMatch(panic);
    expect(lastExit?.message).toMatch(/, while the agent stopped it \(Halted\): Kernel panic - not syncing/);
    expect(lastExit?.message).toContain('stayed mounted and were not synced: ');
  });

  it('is reported also when its agent is ending', async () => {
    await using node = await startNode(host);
    const core = await startCore(node, { timeouts: patient });
    await startWriting(core);
    let ended = Promise.resolve();
    await untilLeaving(node, () => {
      ended = core.supervisor.endWithAgent();
    });
    await node.control.endGuest(systemID, 'panic');
    await ended;
    const { lastExit } = core.observed(uid);
    expect(lastExit?.type).toBe('AgentExit');
    expect(lastExit?.message).toMatch(panic);
    expect(lastExit?.message).toContain('Kernel panic');
    await core.kill();
  });
});

describe('the progress of a stop when the agent dies', () => {
  /** Dies after the disks are unmounted, while HCS does not answer the terminate request. */
  async function dieWhileTerminating(node: TestNode): Promise<void> {
    const core = await startCore(node, { timeouts: patient });
    await startWriting(core, outlives);
    await node.control.pause(systemID);
    await node.control.script({ at: 'terminate', stall: true });
    await tellToHalt(core, outlives);
    await until('in the middle', async () => (await visits(node, 'terminate')) === 1);
    await core.vanish();
  }

  it('is reported by the next agent when the VM is gone', async () => {
    await using node = await startNode(host);
    await dieWhileTerminating(node);
    const { backend } = await node.connect();
    const system = await backend.open(systemID);
    await system.terminate();
    await system.close();
    await until('gone', async () => (await node.control.system(systemID)) === undefined);
    await using core = await startCore(node);
    const { lastExit } = await core.until(uid, 'halted', isHalted);
    const gone = 'the VM ended while the agent was away, which was stopping it (Halted)';
    expect(lastExit).toMatchObject({ type: 'Unknown', message: `${gone}; ${notSynced}: the VM is paused` });
  });

  it('is reported by the next agent together with the exit when HCS still has the VM', async () => {
    await using node = await startNode(host);
    await dieWhileTerminating(node);
    const { backend } = await node.connect();
    const system = await backend.open(systemID);
    await system.terminate();
    await system.ended;
    await using core = await startCore(node);
    const { lastExit } = await core.until(uid, 'halted', isHalted);
    expect(lastExit).toMatchObject({ type: 'ForcedExit', message: `${terminated}; ${notSynced}: the VM is paused` });
    await system.close();
  });
});

describe('an agent that dies', () => {
  it('loses data that was not synced, and the next agent says so', async () => {
    await using node = await startNode(host);
    const first = await startCore(node);
    await startWriting(first);
    await first.kill();
    await using second = await startCore(node);
    const { lastExit } = await second.until(uid, 'again', isRunning);
    const together = 'the VM ended together with the agent that ran it';
    expect(lastExit).toMatchObject({ type: 'AgentExit', message: `${together}; ${notSynced}: the agent ended before` });
  });

  it('loses no data when the disks were read-only', async () => {
    await using node = await startNode(host);
    const first = await startCore(node);
    const disk = { name: 'data', path: 'C:\\disks\\data.vhd', readOnly: true, mountPath: '/mnt/data' };
    await first.supervisor.assign(makeAssignment({ options: { Disks: [disk] } }));
    await first.until(uid, 'running', isRunning);
    await first.kill();
    await using second = await startCore(node);
    const { lastExit } = await second.until(uid, 'again', isRunning);
    expect(lastExit?.message).toBe('the VM ended together with the agent that ran it');
  });
});

describe('the exit of a VM that reports Stopped', () => {
  const ended = (core: AgentCore) => core.until(uid, 'ended', ({ lastExit }) => lastExit !== undefined);
  const stoppedState = JSON.stringify({ Id: systemID, Owner: 'lcow-agent', State: 'Stopped' });

  it('is waited for, because the text of a crash comes after the state', async () => {
    const double = await ComputeCoreDouble.load();
    await using node = await startNode();
    await using core = await startCore(unguestedNode(node, double), { timeouts: { liveness: 20 } });
    await core.supervisor.assign(unguestedAssignment({ runStrategy: 'Once' }));
    await core.until(uid, 'running', ({ phase }) => phase === 'Running');
    double.send(systemID, 0x1, '{"Status":-1070137082,"ExitType":"UnexpectedExit","Attribution":[{"GuestCrash":{}}]}');
    const before = double.visits('HcsGetComputeSystemProperties');
    double.script({ call: 'HcsGetComputeSystemProperties', action: 'result', text: stoppedState, number: 0 });
    await until('looked at', () => double.visits('HcsGetComputeSystemProperties') > before);
    double.send(systemID, 0x3, JSON.stringify({ CrashLog: 'Kernel panic' }));
    const { lastExit } = await ended(core);
    expect(lastExit?.message).toBe('the VM ended unexpectedly (status 0xc0370106, GuestCrash): Kernel panic');
    double.reset();
  });

  it('is waited for within a bound, because its event can be lost', async () => {
    const double = await ComputeCoreDouble.load();
    await using node = await startNode();
    await using core = await startCore(unguestedNode(node, double), { timeouts: { liveness: 20, exitEvent: 50 } });
    await core.supervisor.assign(unguestedAssignment({ runStrategy: 'Once' }));
    await core.until(uid, 'running', ({ phase }) => phase === 'Running');
    double.script({ call: 'HcsGetComputeSystemProperties', action: 'result', text: stoppedState, number: 0 });
    expect((await ended(core)).lastExit?.type).toBe('Unknown');
    double.reset();
  });
});

it('a message with every part is short enough for the operator', () => {
  const disks = Array.from({ length: 5 }, (_, index) => ({
    path: `/mnt/${index}`.padEnd(255, 'x'),
    why: 'busy\u001b'.repeat(100),
  }));
  const left = describeLeft(disks, { kind: 'not', why: 'gone\u202e'.repeat(100) });
  const exit = {
    exitType: 'UnexpectedExit',
    status: 0xc037_0106,
    attribution: Array.from({ length: 8 }, () => '\u001bcause'.repeat(20)),
    crashLog: '\u001bpanic'.repeat(1_000),
  } as const;
  const record = { ...newRecord(uid, crypto.randomUUID()), stopReason: 'Halted' } as const;
  const { lastExit } = stopped(record, exit, new Date(0).toISOString(), left);
  expect(lastExitSchema.parse(lastExit)).toEqual(lastExit);
  expect(lastExit?.message).toMatch(/ and 1 more stayed mounted and were not synced: gone/);
});
