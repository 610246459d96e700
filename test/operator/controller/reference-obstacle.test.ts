// What a reference that cannot be read prevents (design §11): nothing, as long as the VM's agent has the options of the
// manifest.
import { describe, expect, it } from 'vitest';
import type { LinuxUtilityVMStatus } from '../../../crds/linux-utility-vm.ts';
import { intentOf } from '../../../operator/controller/instructions/assignment.ts';
import { obstacleOf, type Wanted } from '../../../operator/controller/instructions/instructions.ts';
import { makeMachine } from '../../support/operator/objects.ts';

const gone = { reason: 'ReferenceUnreadable', message: 'ConfigMap policies is gone' } as const;
const lastTransitionTime = '2026-01-01T00:00:00Z';

/** The obstacle of a VM about which its agent has not reported to this leader. */
function obstacleWithoutReport(status: LinuxUtilityVMStatus, generation = 2) {
  const object = makeMachine({ metadata: { generation }, status: { nodeName: 'node-a', ...status } });
  const intent = intentOf(object, 'Always');
  const wanted: Wanted = { ok: false, verdict: gone, intent, sourceDigest: 'of-the-manifest', references: gone };
  return obstacleOf(object, wanted, undefined);
}

function stored(phase: 'Running' | 'Unknown' | 'Stopped' | 'Scheduled', status: 'True' | 'False' | 'Unknown') {
  const ready = { type: 'Ready', status, reason: 'AsStored', message: '', lastTransitionTime };
  return { phase, observedGeneration: 2, conditions: [ready] };
}

describe('a VM whose reference is gone, before its agent has reported to a new leader', () => {
  it('stays ready if it ran with this manifest', () => {
    expect(obstacleWithoutReport(stored('Running', 'True'))).toBeUndefined();
  });

  it('stays unknown if its host was away before', () => {
    expect(obstacleWithoutReport(stored('Unknown', 'Unknown'))).toBeUndefined();
  });

  it('is not ready if its manifest has changed since', () => {
    expect(obstacleWithoutReport(stored('Running', 'True'), 3)).toBe(gone);
  });

  it('is not ready if it never ran, rests, or was not ready before', () => {
    expect(obstacleWithoutReport({})).toBe(gone);
    expect(obstacleWithoutReport(stored('Scheduled', 'False'))).toBe(gone);
    expect(obstacleWithoutReport(stored('Stopped', 'True'))).toBe(gone);
    expect(obstacleWithoutReport(stored('Running', 'False'))).toBe(gone);
  });
});
