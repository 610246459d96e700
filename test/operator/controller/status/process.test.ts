// What is stored about the process of a VM.
import { describe, expect, it } from 'vitest';
import type { LinuxUtilityVMStatus } from '../../../../crds/linux-utility-vm.ts';
import { historyOf, observedStatus } from '../../../../operator/controller/status/observed-status.ts';
import type { ObservedProcess } from '../../../../protocol/messages.ts';
import { someUid } from '../../../support/agent/assignments.ts';
import { observedMachine } from '../../../support/operator/scripted-agent.ts';

const exited: ObservedProcess = {
  state: 'Exited',
  exitCode: 3,
  startedAt: '2026-01-01T00:00:00Z',
  finishedAt: '2026-01-01T00:00:01Z',
};
const running: ObservedProcess = { state: 'Running', startedAt: '2026-01-01T00:00:00Z' };
const stored = (process: ObservedProcess): LinuxUtilityVMStatus => ({ observedGeneration: 1, process });

describe('the process of a VM in its status', () => {
  it('is what the agent reports', () => {
    const report = observedMachine(someUid, { generation: 1, phase: 'Running', process: running });
    expect(observedStatus(stored(exited), report).process).toEqual(running);
  });

  it('is gone while the VM boots again', () => {
    const report = observedMachine(someUid, { generation: 1, phase: 'Starting' });
    expect(observedStatus(stored(exited), report).process).toBeUndefined();
  });

  it('stays when the agent of an ended VM has lost its journal', () => {
    for (const phase of ['Stopped', 'Failed'] as const) {
      const report = observedMachine(someUid, { generation: 1, phase });
      expect(observedStatus(stored(exited), report).process).toEqual(exited);
    }
  });

  it('stays when the VM leaves its host, if it has ended', () => {
    expect(historyOf(stored(exited)).process).toEqual(exited);
    expect(historyOf(stored(running)).process).toBeUndefined();
  });
});
