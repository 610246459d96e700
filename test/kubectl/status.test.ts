// What `kubectl luvm status` says of a VM.
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
  it.each(conditionsPresentOnlyWhileTrue)('names %s, although the VM is ready', (type) => {
    const lines = story(vm, { phase: 'Running', conditions: conditions(type) });
    expect(lines).toContain(`  ${type} is True since ${lastTransitionTime}: Why: because`);
  });

  it('does not name what is as it should be', () => {
    expect(story(vm, { phase: 'Running', conditions: conditions('GuestConnected') }).join()).not.toContain('since');
  });
});
