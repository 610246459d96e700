// What an agent does when it is told whether a VM must run, but not with which options, because a reference or the spec
// cannot be read. The VMs run on a simulated node.
import { describe, expect, it } from 'vitest';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { optionsDigest } from '../../../protocol/digest.ts';
import type { Intent } from '../../../protocol/intent.ts';
import type { Assignment } from '../../../protocol/messages.ts';
import { condition, hasReason, isReady, isRunning, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { ordinaryDocument, startNode } from '../../support/agent/simulated-node.ts';
import { until } from '../../support/until.ts';

const systemID = systemIdOf(uid);
const options = { MemorySizeInMB: 2048, TerminateOnAgentExit: false };
const sourceDigest = 'a'.repeat(64);
const full = (changes: Partial<Assignment> = {}) => makeAssignment({ options, sourceDigest, ...changes });
const intent = (changes: Partial<Intent> = {}): Intent => ({
  uid,
  namespace: 'default',
  name: 'vm',
  generation: 2,
  runStrategy: 'Always',
  paused: false,
  remembered: { restarts: 0 },
  ...changes,
});

describe('a VM whose options cannot be read', () => {
  it('continues to run, and reports that it has its previous options', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(full());
    const before = await core.until(uid, 'running', isRunning);
    await core.supervisor.intend(intent());
    const after = await core.until(uid, 'answered', ({ generation }) => generation === 2);
    expect(isReady(after)).toBe(true);
    expect(after).toMatchObject({ runtimeID: before.runtimeID, sourceDigest, optionsDigest: optionsDigest(options) });
  });

  it('is halted, and started again with its previous options', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(full());
    const before = await core.until(uid, 'running', isRunning);
    await core.supervisor.intend(intent({ runStrategy: 'Halted' }));
    const halted = await core.until(uid, 'halted', hasReason('Halted'));
    expect(halted).toMatchObject({ generation: 2, phase: 'Stopped' });
    expect(isReady(halted)).toBe(true);
    await core.supervisor.intend(intent({ generation: 3 }));
    const again = await core.until(uid, 'running again', isRunning);
    expect(again).toMatchObject({ generation: 3, restarts: 1, documentDigest: before.documentDigest });
    expect(again.memorySizeInMB).toBe(2048);
  });

  it('is restarted on request, once', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(full());
    const before = await core.until(uid, 'running', isRunning);
    await core.supervisor.intend(intent({ restartedAt: 'now' }));
    const after = await core.until(uid, 'restarted', (now) => isRunning(now) && now.restarts === 1);
    expect(after).toMatchObject({ restartedAt: 'now', documentDigest: before.documentDigest });
    await core.supervisor.assign(full({ generation: 2, restartedAt: 'now' }));
    expect((await core.until(uid, 'ready', isRunning)).restarts).toBe(1);
  });

  it('keeps its assigned state when the agent dies', async () => {
    await using node = await startNode();
    const first = await startCore(node);
    await first.supervisor.assign(full());
    await first.until(uid, 'running', isRunning);
    await first.supervisor.intend(intent({ runStrategy: 'Halted' }));
    await first.kill();
    await using second = await startCore(node);
    await second.until(uid, 'halted', hasReason('Halted'));
    await until('stopped', async () => (await node.control.system(systemID)) === undefined);
    expect((await node.control.visits()).filter(({ step }) => step === 'create')).toHaveLength(1);
  });

  it('keeps its run strategy when the run strategy cannot be read either', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(full({ runStrategy: 'Halted' }));
    await core.until(uid, 'halted', hasReason('Halted'));
    const { runStrategy: _, ...unknown } = intent();
    await core.supervisor.intend(unknown);
    expect(await core.until(uid, 'answered', ({ generation }) => generation === 2)).toMatchObject({ phase: 'Stopped' });
  });

  it('is left alone when no journal has it, unless it must be stopped', async () => {
    await using node = await startNode();
    const stranger = await node.connect();
    const document = ordinaryDocument({ terminatesWithLastHandle: false });
    await (await stranger.backend.create(systemID, JSON.stringify(document))).start();
    await using core = await startCore(node);
    await stranger.close();
    await core.supervisor.intend(intent());
    expect(core.observed(uid).phase).toBe('Unknown');
    expect((await node.control.system(systemID))?.state).toBe('Running');
    await core.supervisor.intend(intent({ runStrategy: 'Halted' }));
    await core.until(uid, 'halted', hasReason('Halted'));
    expect(await node.control.systems()).toEqual([]);
  });

  it('is not started before the agent gets options', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.intend(intent({ generation: 1 }));
    await core.supervisor.intend(intent());
    const observed = await core.until(uid, 'answered', ({ generation }) => generation === 2);
    expect(observed.phase).toBe('Stopped');
    expect(observed.sourceDigest).toBeUndefined();
    await core.supervisor.assign(full({ generation: 3 }));
    await core.until(uid, 'running', isRunning);
  });
});

describe('a paused VM', () => {
  it('keeps its report while it is paused, and follows the last assignment afterwards', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(full({ runStrategy: 'Halted' }));
    await core.until(uid, 'halted', hasReason('Halted'));
    await core.supervisor.assign(full({ runStrategy: 'Always', generation: 2, paused: true }));
    await core.supervisor.intend(intent({ generation: 3, paused: true }));
    const paused = core.observed(uid);
    expect(paused).toMatchObject({ generation: 1, phase: 'Stopped' });
    expect(condition(paused, 'Ready')).toMatchObject({ status: 'True', reason: 'Halted' });
    await core.supervisor.assign(full({ generation: 3 }));
    expect(await core.until(uid, 'running', isRunning)).toMatchObject({ generation: 3 });
  });
});

it('a VM that is paused from the beginning follows no generation', async () => {
  await using node = await startNode();
  await using core = await startCore(node);
  await core.supervisor.assign(full({ paused: true }));
  expect(core.observed(uid)).toMatchObject({ generation: 0, phase: 'Stopped' });
});

describe('a restart that an earlier version handled and recorded by the beginning of its value', () => {
  it('is not repeated, and the next one is carried out', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    const restartedAtPrefix = 'https://pipelines/'.padEnd(64, 'x');
    await core.supervisor.assign(full({ restartedAt: restartedAtPrefix }));
    await core.until(uid, 'running', isRunning);
    await core.supervisor.assign(full({ restartedAt: 'b'.repeat(64), restartedAtPrefix }));
    expect(await core.until(uid, 'renamed', (now) => now.restartedAt === 'b'.repeat(64))).toMatchObject({
      restarts: 0,
    });
    await core.supervisor.assign(full({ restartedAt: 'c'.repeat(64), restartedAtPrefix }));
    await core.until(uid, 'restarted', (now) => isRunning(now) && now.restarts === 1);
  });
});
