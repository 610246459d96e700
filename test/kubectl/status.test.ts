// The output of `kubectl luvm status`.
import { describe, expect, it } from 'vitest';
import type { LinuxUtilityVMStatus } from '../../crds/linux-utility-vm.ts';
import { conditionsPresentOnlyWhileTrue } from '../../crds/object.ts';
import { story } from '../../kubectl/status.ts';

const lastTransitionTime = '2026-11-01T00:00:00Z';
const vm = { metadata: { namespace: 'default', name: 'vm' }, spec: { runStrategy: 'Always' }, status: undefined };
const conditions = (type: string): LinuxUtilityVMStatus['conditions'] => [
  { type: 'Ready', status: 'True', reason: 'Running', message: 'it runs', lastTransitionTime },
  { type, status: 'True', reason: 'Why', message: 'because', lastTransitionTime },
];

describe('the status of a VM', () => {
  it.each(conditionsPresentOnlyWhileTrue)('shows %s, although the VM is ready', (type) => {
    const lines = story(vm, { phase: 'Running', conditions: conditions(type) });
    expect(lines).toContain(`  ${type} is True since ${lastTransitionTime}: Why: because`);
  });

  it('shows that a ready VM is paused, needs a restart, or is being deleted', () => {
    for (const type of ['Paused', 'RestartRequired', 'Terminating'])
      expect(story(vm, { phase: 'Running', conditions: conditions(type) }).join()).toContain(`  ${type} is True`);
  });

  it('shows numbers with their nouns', () => {
    const one = story(vm, {
      processorCount: 1,
      restarts: 1,
      startFailure: { count: 1 },
      guestLog: { total: 1 },
    }).join();
    expect(one).toMatch(/, 1 restart, 1 processor,.* {2}1 failure in a row,guest log, 1 line, 0 dropped/);
    const two = story(vm, {
      processorCount: 2,
      restarts: 0,
      startFailure: { count: 2 },
      guestLog: { total: 2 },
    }).join();
    expect(two).toMatch(/, 0 restarts, 2 processors,.* {2}2 failures in a row,guest log, 2 lines, 0 dropped/);
  });

  it('shows the folders that the VM has of its host', () => {
    const shares = [
      { name: 'tools', path: 'C:\\tools', guestPath: '/mnt/tools', readOnly: true },
      { name: 'work', path: 'C:\\work', guestPath: '/mnt/work', readOnly: false },
    ];
    const lines = story(vm, { phase: 'Running', devices: { shares } });
    expect(lines).toContain('share tools: C:\\tools at /mnt/tools, read-only');
    expect(lines).toContain('share work: C:\\work at /mnt/work');
  });

  it('shows how the process ended', () => {
    const [startedAt, finishedAt] = ['2026-11-01T00:00:01Z', '2026-11-01T00:00:02Z'];
    const lines = (process: LinuxUtilityVMStatus['process']) => story(vm, { process });
    expect(lines({ state: 'Exited', exitCode: 3, startedAt, finishedAt })).toContain(
      `process exited: exit code 3, since ${startedAt}, until ${finishedAt}`,
    );
    expect(lines({ state: 'Failed', reason: 'ProcessNotStarted', finishedAt })).toContain(
      `process failed: ProcessNotStarted, until ${finishedAt}`,
    );
    expect(lines({ state: 'Running', startedAt })).toContain(`process running, since ${startedAt}`);
  });

  it('leaves out what is as it should be', () => {
    expect(story(vm, { phase: 'Running', conditions: conditions('GuestConnected') }).join()).not.toContain('since');
  });
});
