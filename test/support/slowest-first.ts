// A clone has no record of how long its test files take, and vitest would begin with the largest ones: then the run ends
// with one slow file, and all but one worker at rest. Those that run programs come first.
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Folders and files, slowest first; not all that need the processor at the same time. */
const slow = [
  'test/e2e/failover',
  'test/e2e/maintenance',
  'test/operator/operator.test',
  'test/support/control-plane/',
  'test/e2e/',
  'test/agent/crash-points',
  'test/support/kubelet/',
  'test/charts/',
  'test/operator/',
  'test/images/',
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
