import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compareAnnotationCase, readAnnotationCases } from './annotations.ts';

const cases = readAnnotationCases(readFileSync(new URL('annotations.json', import.meta.url), 'utf8'));

describe('golden annotations', () => {
  it('are all there', () => {
    expect(cases).toHaveLength(148);
  });

  it.each(cases)('$name', (testCase) => {
    expect(compareAnnotationCase(testCase)).toEqual([]);
  });
});
