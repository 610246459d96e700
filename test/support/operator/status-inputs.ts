// What the status of a VM is computed from, for unit tests.
import type { LinuxUtilityVMStatus } from '../../../crds/linux-utility-vm.ts';
import type { StatusInputs } from '../../../operator/controller/status/status.ts';
import type { ObservedVirtualMachine } from '../../../protocol/messages.ts';
import { makeMachine, someUid } from './objects.ts';
import { observedMachine } from './scripted-agent.ts';

export const now = Date.parse('2026-05-01T12:00:00Z');
export const later = now + 60_000;

/** A VM that is placed on `node-a` and has no report, with these changes. */
export function inputs(changes: Partial<StatusInputs> = {}): StatusInputs {
  return {
    object: makeMachine(),
    nodeName: 'node-a',
    scheduled: { reason: 'Scheduled', message: 'placed on node-a' },
    report: undefined,
    disconnected: false,
    blocked: undefined,
    terminating: undefined,
    now,
    ...changes,
  };
}

/** The report of a running VM, with these changes. */
export const reported = (changes: Partial<ObservedVirtualMachine> = {}) => ({
  observed: observedMachine(someUid, { generation: 1, ...changes }),
  failure: undefined,
});
export const stored = (status: LinuxUtilityVMStatus) => makeMachine({ status });
