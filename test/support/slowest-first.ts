// Runs the slowest test files first. A fresh clone has no record of their duration, and vitest would begin with the
// largest files: the run would then end with one slow file while all other workers are idle. Files that run programs
// come first.
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Folders and files, slowest first, in an order that spreads the load on the processor. */
const slow = [
  'test/e2e/failover',
  'test/e2e/maintenance',
  'test/operator/operator.system.test',
  'test/support/control-plane/',
  'test/e2e/',
  'test/agent/vm/process-crash-points',
  'test/support/kubelet/',
  'test/charts/',
  'test/operator/',
  'test/images/',
  // Unit tests that wait for real time, while others compute.
  'test/operator/agents/',
  'test/agent/vm/crash-points',
  'test/operator/certificates/rotation',
];

function rank({ moduleId }: TestSpecification): number {
  const index = slow.findIndex((path) => moduleId.includes(path));
  return index < 0 ? slow.length : index;
}

export class SlowestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other));
  }
}
