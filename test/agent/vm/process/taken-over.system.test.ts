// The process of a VM that outlives its agent, on a simulated node: each agent that comes later continues with it.
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { MachineRecord } from '../../../../agent/vm/record.ts';
import type { Assignment, ObservedVirtualMachine } from '../../../../protocol/messages.ts';
import { type AgentCore, condition, hasReason, isRunning, startCore } from '../../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../../support/agent/assignments.ts';
import { Outside } from '../../../support/agent/crash-points.ts';
import { journalIn } from '../../../support/agent/crash-scenarios.ts';
import { expectNothingLeft } from '../../../support/agent/nothing-left.ts';
import { startNode, type TestNode } from '../../../support/agent/simulated-node.ts';
import { until } from '../../../support/until.ts';

const optionsOf = (script: string) => ({ TerminateOnAgentExit: false, ProcessCommand: ['/bin/sh', '-c', script] });
const job = (script: string, more: Partial<Assignment> = {}) =>
  makeAssignment({ options: optionsOf(script), runStrategy: 'Once', ...more });
const isUp = (now: ObservedVirtualMachine) => isRunning(now) && now.process?.state === 'Running';
/** Ends with 3 once somebody has made the file. */
const waiting = 'echo begun; until [ -e /tmp/go ]; do sleep 1; done; echo over; exit 3';
const untilGo = 'until [ -e /tmp/go ]; do sleep 1; done; exit 3';
const logOf = (node: TestNode) => readFile(`${node.folder}/agent/vms/${uid}/guest.log`, 'utf8');
const countOf = (text: string, part: string) => text.split(part).length - 1;

async function go(core: AgentCore): Promise<void> {
  const nothing = { stdin: false, stdout: false, stderr: false };
  const command = { args: ['/bin/sh', '-c', 'echo go > /tmp/go'] };
  await core.supervisor.machine(uid)?.access.execute(command, nothing, AbortSignal.timeout(5000));
}

/**
 * An agent that dies when it writes such a record: before or after the record is there. `die` resolves when nothing of
 * the agent is left.
 */
async function startDying(node: TestNode, when: 'before' | 'after', isIt: (record: MachineRecord) => boolean) {
  const files = journalIn(node);
  const outside = new Outside(undefined);
  const reached = Promise.withResolvers<void>();
  const buried = Promise.withResolvers<void>();
  const core = await startCore(node, {
    outside,
    journal: {
      load: () => files.load(),
      remove: (of) => files.remove(of),
      async write(record) {
        if (when === 'after' || !isIt(record)) await files.write(record);
        if (!isIt(record)) return;
        reached.resolve();
        await buried.promise;
      },
    },
  });
  const die = async () => {
    await reached.promise;
    const burying = outside.bury();
    buried.resolve();
    await burying;
    await core.vanish();
    return (await files.load()).records[0];
  };
  return { core, die };
}

describe('the process of a VM that outlives its agent', () => {
  it('has its output in the log and its exit code in the status', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(job('echo one; echo two >&2; exit 3'));
    const done = await core.until(uid, 'failed', hasReason('Failed'));
    expect(done).toMatchObject({ phase: 'Failed', process: { state: 'Exited', exitCode: 3 } });
    // Both streams are one.
    for (const line of ['one', 'two']) expect(await logOf(node)).toContain(` info ${line} source=process\n`);
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    await expectNothingLeft(node);
  });

  it('is Completed after 0', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(job('exit 0'));
    await core.until(uid, 'completed', hasReason('Completed'));
  });

  it('ends with 127 when the guest has no such program, and the log has the words of the shell', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(job('', { options: { ...optionsOf(''), ProcessCommand: ['/bin/nothing'] } }));
    const done = await core.until(uid, 'failed', hasReason('Failed'));
    expect(done.process).toMatchObject({ state: 'Exited', exitCode: 127 });
    expect(await logOf(node)).toContain('/bin/nothing: not found source=process');
  });

  it('goes on without an agent, and the next agent reads its output and learns its exit code', async () => {
    await using node = await startNode();
    const first = await startCore(node);
    await first.supervisor.assign(job(waiting));
    const before = await first.until(uid, 'up', isUp);
    await first.kill();
    await using second = await startCore(node);
    const after = await second.until(uid, 'taken over', isUp);
    expect(after.process).toEqual(before.process);
    await go(second);
    const done = await second.until(uid, 'failed', hasReason('Failed'));
    expect(done.process).toMatchObject({ state: 'Exited', exitCode: 3, startedAt: before.process?.startedAt });
    const log = await logOf(node);
    expect([countOf(log, ' begun source=process'), countOf(log, ' over source=process')]).toEqual([1, 1]);
    expect(log).toContain('process output gap: the agent was away source=process');
    second.supervisor.release(uid);
    await until('removed', () => second.removed.has(uid));
    await expectNothingLeft(node);
  });

  it('may end while no agent is there: the guest has noted its exit code', async () => {
    await using node = await startNode();
    const first = await startCore(node);
    await first.supervisor.assign(job(untilGo));
    await first.until(uid, 'up', isUp);
    await go(first);
    await first.kill();
    await using second = await startCore(node);
    const done = await second.until(uid, 'failed', hasReason('Failed'));
    expect(done.process).toMatchObject({ state: 'Exited', exitCode: 3 });
    expect(done.lastExit).toMatchObject({ type: 'UnexpectedExit', message: 'the process ended with exit code 3' });
  });

  it('is found by its note when its agent died before it had recorded the start', async () => {
    await using node = await startNode();
    const first = await startDying(node, 'before', ({ process }) => process?.state === 'running');
    await first.core.supervisor.assign(job(waiting));
    expect((await first.die())?.process?.state).toBe('starting');
    await using second = await startCore(node);
    await second.until(uid, 'taken over', isUp);
    await go(second);
    const done = await second.until(uid, 'failed', hasReason('Failed'));
    expect(done.process).toMatchObject({ state: 'Exited', exitCode: 3 });
    expect(countOf(await logOf(node), ' begun source=process')).toBe(1);
  });

  it('is not started again when nobody knows whether it was started', async () => {
    await using node = await startNode();
    const first = await startDying(node, 'after', ({ process }) => process?.state === 'starting');
    await first.core.supervisor.assign(job(waiting));
    await first.die();
    await using second = await startCore(node);
    const done = await second.until(uid, 'judged', hasReason('Failed'));
    expect(done.process).toMatchObject({ state: 'Failed', reason: 'ProcessStartUnknown' });
    expect(condition(done, 'Stalled')?.status).toBe('True');
    expect(await logOf(node)).not.toContain(' begun ');
    expect(await node.control.systems()).toEqual([]);
  });

  it('gets TERM from an agent that has taken it over', async () => {
    await using node = await startNode();
    const first = await startCore(node);
    const options = optionsOf('echo up; sleep 1000');
    await first.supervisor.assign(makeAssignment({ options }));
    await first.until(uid, 'up', isUp);
    await first.kill();
    await using second = await startCore(node);
    await second.supervisor.assign(makeAssignment({ options, runStrategy: 'Halted', generation: 2 }));
    const halted = await second.until(uid, 'halted', hasReason('Halted'));
    expect(halted.process).toMatchObject({ state: 'Exited', exitCode: 143 });
  });

  it('gets TERM when the agent that was stopping its VM has died', async () => {
    await using node = await startNode();
    const options = optionsOf('sleep 1000');
    const first = await startDying(node, 'after', ({ stage }) => stage === 'stopping');
    await first.core.supervisor.assign(makeAssignment({ options }));
    await first.core.until(uid, 'up', isUp);
    await first.core.supervisor.assign(makeAssignment({ options, runStrategy: 'Halted', generation: 2 }));
    await first.die();
    await using second = await startCore(node);
    const done = await second.until(uid, 'halted', hasReason('Halted'));
    expect(done.process).toMatchObject({ state: 'Exited', exitCode: 143 });
  });

  it('has no exit code when its VM ended while no agent was there', async () => {
    await using node = await startNode();
    const first = await startCore(node);
    await first.supervisor.assign(job(waiting));
    await first.until(uid, 'up', isUp);
    await first.kill();
    await node.control.endGuest(`luvm-${uid}`, 'powerOff');
    await until('gone', async () => (await node.control.systems()).length === 0);
    await using second = await startCore(node);
    const done = await second.until(uid, 'judged', hasReason('Failed'));
    expect(done.process).toMatchObject({ state: 'Failed', reason: 'ExitCodeLost' });
  });
});
