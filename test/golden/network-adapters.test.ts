import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { difference, readAdapterCases } from './network-adapters.ts';

const cases = readAdapterCases(readFileSync(new URL('network-adapters.json', import.meta.url), 'utf8'));

describe('golden network adapters', () => {
  it('are all there', () => {
    expect(cases).toHaveLength(300);
  });

  it.each(cases)('$name', async (testCase) => {
    expect(await difference(testCase)).toBeUndefined();
  });
});
