// Assignments for tests of the agent.
import { optionsDigest } from '../../../protocol/digest.ts';
import type { Assignment } from '../../../protocol/messages.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';

export const someUid = '6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e3f';

export function makeAssignment(changes: Partial<Assignment> = {}): Assignment {
  const options: RequestedOptions = changes.options ?? {};
  return {
    uid: someUid,
    namespace: 'default',
    name: 'vm',
    generation: 1,
    options,
    optionsDigest: optionsDigest(options),
    runStrategy: 'Always',
    updateStrategy: 'OnRestart',
    paused: false,
    remembered: { restarts: 0 },
    ...changes,
  };
}
