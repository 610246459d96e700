// Calls that hang in HCS, and ids that HCS still knows: the native backend on the double of computecore.dll.
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Timeouts } from '../../../agent/bounds/timeouts.ts';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { type AgentCore, condition, hasReason, startCore } from '../../support/agent/agent-core.ts';
import { someUid as uid } from '../../support/agent/assignments.ts';
import { ordinaryDocument, startNode, type TestNode } from '../../support/agent/simulated-node.ts';
import { unguestedAssignment, unguestedNode } from '../../support/agent/unguested-node.ts';
import { ComputeCoreDouble, nothingLeft, type Rule } from '../../support/doubles/computecore.ts';
import { until } from '../../support/until.ts';

const systemID = systemIdOf(uid);
const lasting = JSON.stringify(ordinaryDocument({ terminatesWithLastHandle: false }));

let double: ComputeCoreDouble;
let node: TestNode;

beforeAll(async () => {
  double = await ComputeCoreDouble.load();
});
beforeEach(async () => {
  node = await startNode();
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
  double.reset();
  expect(double.counts()).toEqual(nothingLeft);
});

/** Short bounds for calls that hang. On a busy machine other calls can become overdue too. */
const impatient: Partial<Timeouts> = { create: 50, bootTimeout: 100, terminate: 200, exit: 100 };

async function withCore(timeouts: Partial<Timeouts>, act: (core: AgentCore) => Promise<void>): Promise<void> {
  const core = await startCore(unguestedNode(node, double), { timeouts });
  try {
    await act(core);
  } finally {
    double.release();
    await core.kill();
  }
}

async function released(core: AgentCore): Promise<void> {
  core.supervisor.release(uid);
  await until('removed', () => core.removed.has(uid));
  expect(double.counts()).toEqual(nothingLeft);
}

describe('a call that hangs in HCS', () => {
  const hanging: readonly (readonly [string, Rule])[] = [
    ['a creation that returns when it is terminated', { call: 'HcsCreateComputeSystem', action: 'hang' }],
    ['a creation that never returns', { call: 'HcsCreateComputeSystem', action: 'hold' }],
    ['a start that returns when its system is terminated', { call: 'HcsStartComputeSystem', action: 'hang' }],
    ['a start that never returns', { call: 'HcsStartComputeSystem', action: 'hold' }],
  ];

  it.each(hanging)('%s: the VM is terminated, and runs after the next attempt', async (_, rule) => {
    double.script(rule);
    await withCore(impatient, async (core) => {
      await core.supervisor.assign(unguestedAssignment());
      await core.until(uid, 'running', ({ phase }) => phase === 'Running');
      expect(double.visits('HcsTerminateComputeSystem')).toBeGreaterThanOrEqual(1);
      expect(double.visits(rule.call)).toBeGreaterThanOrEqual(2);
      expect(double.counts().systems).toBe(1);
    });
  });

  it.each(hanging)('%s: the VM can be removed while the call hangs', async (_, rule) => {
    double.script(rule);
    await withCore({ ...impatient, exit: 200 }, async (core) => {
      await core.supervisor.assign(unguestedAssignment());
      await core.until(uid, 'draining', hasReason('CallOverdue'));
      await released(core);
    });
  });

  it.each(['hang', 'hold'] as const)(
    'does not wait for a start (%s) when the VM is no longer wanted',
    async (action) => {
      double.script({ call: 'HcsStartComputeSystem', action });
      await withCore({ bootTimeout: 3_600_000 }, async (core) => {
        await core.supervisor.assign(unguestedAssignment());
        await until('the start is under way', () => double.visits('HcsStartComputeSystem') === 1);
        await released(core);
      });
    },
  );

  it('does not wait for a start when the VM has ended', async () => {
    double.script({ call: 'HcsStartComputeSystem', action: 'hold' });
    await withCore({ bootTimeout: 3_600_000, lateCall: 10 }, async (core) => {
      await core.supervisor.assign(unguestedAssignment());
      await until('the start is under way', () => double.visits('HcsStartComputeSystem') === 1);
      double.exit(systemID, 'UnexpectedExit', -1070137082);
      await core.until(uid, 'running', ({ phase }) => phase === 'Running');
    });
  });

  it('treats a terminate request that HCS never completes as done when the VM exits', async () => {
    await withCore({}, async (core) => {
      await core.supervisor.assign(unguestedAssignment());
      await core.until(uid, 'running', ({ phase }) => phase === 'Running');
      double.script({ call: 'HcsTerminateComputeSystem', action: 'hold', number: 0 });
      core.supervisor.release(uid);
      await until('the request is under way', () => double.visits('HcsTerminateComputeSystem') > 0);
      double.exit(systemID, 'ForcedExit', 0);
      await until('removed', () => core.removed.has(uid));
      expect(double.counts()).toEqual(nothingLeft);
    });
  });

  it('treats a terminate request that HCS never completes as done when the system reports that it has stopped', async () => {
    await withCore({ terminate: 200, exit: 100 }, async (core) => {
      await core.supervisor.assign(unguestedAssignment());
      await core.until(uid, 'running', ({ phase }) => phase === 'Running');
      double.script({ call: 'HcsTerminateComputeSystem', action: 'hold', number: 0 });
      const text = JSON.stringify({ Id: systemID, Owner: 'lcow-agent', State: 'Stopped' });
      double.script({ call: 'HcsGetComputeSystemProperties', action: 'result', text, number: 0 });
      core.supervisor.release(uid);
      await until('removed', () => core.removed.has(uid));
    });
  });

  it('treats a start that HCS never completes as done when the system reports that it has stopped', async () => {
    double.script({ call: 'HcsStartComputeSystem', action: 'hold' });
    double.script({ call: 'HcsTerminateComputeSystem', action: 'hold', number: 0 });
    await withCore({ bootTimeout: 100, terminate: 200, exit: 100, lateCall: 3_600_000 }, async (core) => {
      await core.supervisor.assign(unguestedAssignment());
      await core.until(uid, 'draining', hasReason('CallOverdue'));
      const text = JSON.stringify({ Id: systemID, Owner: 'lcow-agent', State: 'Stopped' });
      double.script({ call: 'HcsGetComputeSystemProperties', action: 'result', text, number: 0 });
      core.supervisor.release(uid);
      await until('removed', () => core.removed.has(uid));
    });
  });

  it('requests termination again when it was refused in Draining', async () => {
    double.script({ call: 'HcsCreateComputeSystem', action: 'hang' });
    double.script({ call: 'HcsTerminateComputeSystem', action: 'failCall', value: 0x8007_0005 });
    await withCore({ ...impatient, exit: 20 }, async (core) => {
      await core.supervisor.assign(unguestedAssignment());
      await core.until(uid, 'draining', hasReason('CallOverdue'));
      await released(core);
      expect(double.visits('HcsTerminateComputeSystem')).toBeGreaterThanOrEqual(2);
    });
  });
});

describe('a creation that fails', () => {
  it('is terminated before its handle is closed', async () => {
    double.script({ call: 'HcsCreateComputeSystem', action: 'failOperation', value: 0x8007_05aa });
    await withCore({}, async (core) => {
      await core.supervisor.assign(unguestedAssignment());
      await core.until(uid, 'running', ({ phase }) => phase === 'Running');
      expect(double.visits('HcsTerminateComputeSystem')).toBe(1);
      expect(double.counts()).toMatchObject({ handles: 1, systems: 1 });
    });
  });
});

describe('an id that HCS still knows', () => {
  it('belongs to a leftover, which is terminated before the VM is created', async () => {
    await withCore({}, async (core) => {
      // The system did not exist yet when the agent enumerated.
      const other = double.connect();
      const leftover = await other.create(systemID, lasting);
      await leftover.start();
      await leftover.close();
      await core.supervisor.assign(unguestedAssignment());
      const running = await core.until(uid, 'running', ({ phase }) => phase === 'Running');
      expect(running.startFailure).toBeUndefined();
      expect(double.visits('HcsOpenComputeSystem')).toBe(1);
      expect(double.visits('HcsTerminateComputeSystem')).toBe(1);
      await other.close();
    });
  });

  it('is free once nobody holds its system', async () => {
    await withCore({}, async (core) => {
      const other = double.connect();
      const leftover = await other.create(systemID, lasting);
      double.exit(systemID, 'UnexpectedExit', 0);
      await core.supervisor.assign(unguestedAssignment());
      await core.until(uid, 'refused', hasReason('CreateFailed'));
      await leftover.close();
      await core.until(uid, 'running', ({ phase }) => phase === 'Running');
      await other.close();
    });
  });

  it('is remembered while the leftover cannot be opened, even when the VM is removed', async () => {
    await withCore({}, async (core) => {
      const other = double.connect();
      await (await other.create(systemID, lasting)).close();
      double.script({ call: 'HcsOpenComputeSystem', action: 'failCall', value: 0x8007_0005, number: 1 });
      double.script({ call: 'HcsOpenComputeSystem', action: 'failCall', value: 0x8007_0005, number: 2 });
      await core.supervisor.assign(unguestedAssignment());
      await until('refused', () => double.visits('HcsOpenComputeSystem') > 0);
      await released(core);
      await other.close();
    });
  });

  it('of a foreign system is left alone', async () => {
    await withCore({}, async (core) => {
      const other = double.connect();
      const theirs = await other.create(systemID, JSON.stringify({ ...JSON.parse(lasting), Owner: 'somebody-else' }));
      await theirs.start();
      await core.supervisor.assign(unguestedAssignment());
      const refused = await core.until(uid, 'refused', hasReason('CreateFailed'));
      expect(condition(refused, 'Ready')?.message).toContain('SYSTEM_ALREADY_EXISTS');
      core.supervisor.release(uid);
      await until('removed', () => core.removed.has(uid));
      expect((await theirs.properties()).state).toBe('Running');
      expect(double.visits('HcsTerminateComputeSystem')).toBe(0);
      await other.close();
    });
  });
});
