import { describe, expect, it } from 'vitest';
import { expectedOutcome, readModifyCases, runModifyCase } from './hcs-modify.ts';

const cases = readModifyCases(new URL('hcs-modify.json', import.meta.url));
const made = await Promise.all(cases.map(async (testCase) => ({ testCase, outcome: await runModifyCase(testCase) })));
const covered = made.filter(({ outcome }) => outcome !== undefined);

describe('golden changes of a running VM', () => {
  it('are covered as far as the agent makes them', () => {
    expect(cases).toHaveLength(137);
    expect(covered).toHaveLength(70);
  });

  it.each(covered)('$testCase.name', ({ testCase, outcome }) => {
    expect(outcome).toEqual(expectedOutcome(testCase));
  });
});
