import { describe, expect, it } from 'vitest';
import { expectedOutcome, readModifyCases, runModifyCase } from './hcs-modify.ts';

const cases = readModifyCases(new URL('hcs-modify.json', import.meta.url));

describe('golden changes of a running VM', () => {
  it('are all there', () => {
    expect(cases).toHaveLength(137);
  });

  it.each(cases)('$name', async (testCase) => {
    expect(await runModifyCase(testCase)).toEqual(expectedOutcome(testCase));
  });
});
