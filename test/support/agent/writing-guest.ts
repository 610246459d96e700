// A VM with two writable disks whose guest writes without syncing. Tests check what is on the disks after the VM was
// stopped.
import { expect } from 'vitest';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import type { Assignment, ObservedVirtualMachine } from '../../../protocol/messages.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import { until } from '../until.ts';
import { type AgentCore, hasReason, isRunning } from './agent-core.ts';
import { makeAssignment, someUid as uid } from './assignments.ts';
import { defaultHost, type TestNode } from './simulated-node.ts';

export const systemID = systemIdOf(uid);
export const data = { name: 'data', path: 'C:\\disks\\data.vhd', readOnly: false, mountPath: '/mnt/data' };
export const other = { name: 'other', path: 'C:\\disks\\other.vhd', readOnly: false, mountPath: '/mnt/other' };
export const hostWithDisks = { files: { ...defaultHost.files, [other.path]: 4096 } };
export const outlives = { TerminateOnAgentExit: false };
/** Long limits, so that a rung that runs into its limit shows. */
export const patient = {
  leaveDisks: 600_000,
  leaveOverdue: 600_000,
  leaveProcesses: 600_000,
  guestReconnect: 600_000,
};
export const terminated = 'the VM was terminated by the agent (Halted)';
export const notSynced = '/mnt/data, /mnt/other stayed mounted and were not synced';

export const optionsWith = (options: RequestedOptions = {}) => ({ Disks: [data, other], ...options });

/** Starts the VM and writes a file to each disk without syncing. */
export async function startWriting(core: AgentCore, options: RequestedOptions = {}): Promise<void> {
  await core.supervisor.assign(makeAssignment({ options: optionsWith(options) }));
  await core.until(uid, 'running', isRunning);
  await write(core);
}

export async function write(core: AgentCore): Promise<void> {
  for (const { mountPath } of [data, other]) {
    expect(await (await run(core, 'sh', '-c', `echo new > ${mountPath}/written`)).exitCode).toBe(0);
  }
}

export async function run(core: AgentCore, ...args: readonly string[]) {
  const machine = core.supervisor.machine(uid);
  if (machine === undefined) throw new Error('the agent does not know the VM');
  const nothing = { stdin: false, stdout: false, stderr: false };
  return await machine.access.execute({ args }, nothing, new AbortController().signal);
}

/** For each disk, whether the file is on it. */
export async function written(node: TestNode): Promise<readonly boolean[]> {
  const files = await node.control.diskFiles();
  return [data, other].map(({ path }) => files[path]?.includes('written') === true);
}

/**
 * Resolves when what `act` begins is in the middle of leaving the guest, which answers nothing then. The number releases it.
 */
export async function untilLeaving(node: TestNode, act: () => unknown): Promise<number> {
  const execs = async () => (await node.control.visits()).filter(({ step }) => step === 'guestExec').length;
  const before = await execs();
  const rule = await node.control.script({ at: 'guestExec', stall: true, times: 'always' });
  await act();
  await until('the guest is asked', async () => (await execs()) > before);
  return rule;
}

export const isHalted = hasReason('Halted');

export function halted(options: RequestedOptions = {}): Assignment {
  return makeAssignment({ options: optionsWith(options), runStrategy: 'Halted', generation: 2 });
}

export async function tellToHalt(core: AgentCore, options: RequestedOptions = {}): Promise<void> {
  await core.supervisor.assign(halted(options));
}

export async function halt(core: AgentCore, options: RequestedOptions = {}): Promise<ObservedVirtualMachine> {
  await tellToHalt(core, options);
  return await core.until(uid, 'halted', isHalted);
}
