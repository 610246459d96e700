// What the operator relies on of an API server. The simulated one and a real one must both pass.
import { afterEach, describe } from 'vitest';
import { describeOtherKinds, describeReviews } from './contract/other-kinds.ts';
import { describeReads, describeVersions, describeWatches } from './contract/reads.ts';
import { type ContractSubject, Machines } from './contract/subject.ts';
import { describeApply, describeDeletion, describeStatus, describeWrites } from './contract/writes.ts';

export function describeApiServer(name: string, subjectNow: () => ContractSubject): void {
  const run = (work: (machines: Machines, subject: ContractSubject) => Promise<void>) => {
    const subject = subjectNow();
    return subject.run(() => work(new Machines(subject), subject));
  };

  describe(name, () => {
    afterEach(() => run((machines) => machines.removeAll()));
    describeWrites(run);
    describeApply(run);
    describeStatus(run);
    describeDeletion(run);
    describeReads(run);
    describeWatches(run);
    describeVersions(run);
    describeOtherKinds(run);
    describeReviews(run);
  });
}
