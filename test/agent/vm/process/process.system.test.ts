// A VM with a process on a simulated node: the process is started once, its output joins the guest's log, and its end
// ends the VM.
import { describe, expect, it } from 'vitest';
import type { Assignment, ObservedVirtualMachine } from '../../../../protocol/messages.ts';
import type { RequestedOptions } from '../../../../protocol/options.ts';
import { condition, hasReason, isRunning, startCore } from '../../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../../support/agent/assignments.ts';
import { expectNothingLeft } from '../../../support/agent/nothing-left.ts';
import { startNode, type TestNode } from '../../../support/agent/simulated-node.ts';
import { data, hostWithDisks } from '../../../support/agent/writing-guest.ts';
import { until } from '../../../support/until.ts';

const shell = (script: string): RequestedOptions => ({ ProcessCommand: ['/bin/sh', '-c', script] });
const job = (script: string, more: Partial<Assignment> = {}) =>
  makeAssignment({ options: shell(script), runStrategy: 'Once', ...more });
const lines = ({ guestLog }: ObservedVirtualMachine) => [...guestLog.head, ...guestLog.tail];
/** How often the guest was asked to start something. */
const execs = async (node: TestNode) => (await node.control.visits()).filter(({ step }) => step === 'guestExec').length;

describe('a VM with a process', () => {
  it('is Completed when the process ends with 0, and its log has the output', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(job('echo one; echo two >&2; exit 0'));
    const done = await core.until(uid, 'completed', hasReason('Completed'));
    expect(done).toMatchObject({ phase: 'Stopped', process: { state: 'Exited', exitCode: 0 } });
    expect(done.lastExit).toMatchObject({ type: 'GracefulExit', message: 'the process ended with exit code 0' });
    expect(lines(done)).toContainEqual(expect.stringMatching(/Z info one source=process$/));
    expect(lines(done)).toContainEqual(expect.stringMatching(/Z info two stream=stderr source=process$/));
    expect(await execs(node)).toBe(1);
    expect(await node.control.systems()).toEqual([]);
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    await expectNothingLeft(node);
  });

  it('is Failed with the exit code when the process ends with another one', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(job('exit 3'));
    const done = await core.until(uid, 'failed', hasReason('Failed'));
    expect(done).toMatchObject({ phase: 'Failed', process: { state: 'Exited', exitCode: 3 } });
    expect(done.lastExit).toMatchObject({ type: 'UnexpectedExit', message: 'the process ended with exit code 3' });
    expect(condition(done, 'Stalled')?.status).toBe('True');
  });

  it.each([
    ['Always', 'exit 0'],
    ['Always', 'exit 3'],
    ['RerunOnFailure', 'exit 3'],
  ] as const)('is started again with runStrategy %s after %s', async (runStrategy, script) => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(job(script, { runStrategy }));
    await core.until(uid, 'again', ({ restarts }) => restarts > 1);
  });

  it('stays Completed with RerunOnFailure after 0', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(job('exit 0', { runStrategy: 'RerunOnFailure' }));
    await core.until(uid, 'completed', hasReason('Completed'));
  });

  it('is ready once the process runs, and ends it with TERM when it is halted', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    const options = shell('echo up; sleep 1000');
    await core.supervisor.assign(makeAssignment({ options }));
    const ready = await core.until(uid, 'ready', (now) => isRunning(now) && now.process?.state === 'Running');
    expect(condition(ready, 'Ready')?.status).toBe('True');
    await core.supervisor.assign(makeAssignment({ options, runStrategy: 'Halted', generation: 2 }));
    const halted = await core.until(uid, 'halted', hasReason('Halted'));
    expect(halted.lastExit?.message).toBe('the VM was terminated by the agent (Halted)');
    // As `kubectl luvm exec` shows a signal.
    expect(halted.process).toMatchObject({ state: 'Exited', exitCode: 255 });
  });

  it('starts the process once its disks are there', async () => {
    await using node = await startNode(hostWithDisks);
    await using core = await startCore(node);
    const rule = await node.control.script({ at: 'guestModify', stall: true, times: 'always' });
    await core.supervisor.assign(job('', { options: { ...shell('exit 0'), Disks: [data] } }));
    const waiting = await core.until(uid, 'up', (now) => now.phase === 'Running');
    expect(waiting.process).toBeUndefined();
    expect(condition(waiting, 'Ready')).toMatchObject({ status: 'False', reason: 'Changing' });
    await node.control.release(rule);
    await core.until(uid, 'completed', hasReason('Completed'));
  });

  it('fails when the guest cannot start the process, with the words of the guest', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(job('', { options: { ProcessCommand: ['/bin/nothing'] } }));
    const done = await core.until(uid, 'failed', hasReason('Failed'));
    expect(done.process).toMatchObject({ state: 'Failed', reason: 'ProcessNotStarted' });
    expect(done.lastExit?.message).toContain('/bin/nothing: no such file or directory');
  });

  it('does not end well when its guest powers off before the process has ended', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(job('sleep 1000'));
    await core.until(uid, 'up', (now) => now.process?.state === 'Running');
    await node.control.endGuest(`luvm-${uid}`, 'powerOff');
    const done = await core.until(uid, 'failed', hasReason('Failed'));
    expect(done.lastExit).toMatchObject({ type: 'UnexpectedExit' });
    expect(done.lastExit?.message).toBe('the guest powered off; the exit code of the process is lost (ExitCodeLost)');
    expect(done.process).toMatchObject({ state: 'Failed', reason: 'ExitCodeLost' });
  });

  it('learns the exit code although the bridge was down when the process ended', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(job('sleep 1000'));
    const up = await core.until(uid, 'up', (now) => now.process?.state === 'Running');
    expect(up.process?.state).toBe('Running');
    await node.control.dropBridge(`luvm-${uid}`);
    await core.until(uid, 'connected again', isRunning);
    expect(await execs(node)).toBe(1);
  });

  it('is not started with a policy that allows no process', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    const options = { ...shell('exit 0'), SecurityPolicyEnabled: true, SecurityPolicy: '' };
    await core.supervisor.assign(job('', { options }));
    const refused = await core.until(uid, 'refused', hasReason('ProcessNotAllowed'));
    expect(condition(refused, 'Stalled')?.status).toBe('True');
    expect(await node.control.systems()).toEqual([]);
  });

  it('is refused without a connection to the guest', async () => {
    await using node = await startNode();
    await using core = await startCore(node);
    await core.supervisor.assign(job('', { options: { ...shell('exit 0'), UseGuestConnection: false } }));
    await core.until(uid, 'refused', hasReason('InvalidOptions'));
  });

  it('ends with its agent, and the next agent does not know how the process ended', async () => {
    await using node = await startNode();
    const first = await startCore(node);
    await first.supervisor.assign(job('sleep 1000'));
    await first.until(uid, 'up', (now) => now.process?.state === 'Running');
    await first.kill();
    await using second = await startCore(node);
    const after = await second.until(uid, 'judged', hasReason('AgentRestarted'));
    expect(after.process).toMatchObject({ state: 'Failed', reason: 'ExitCodeLost' });
    expect(await execs(node)).toBe(1);
  });
});
