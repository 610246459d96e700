import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readCases } from './document-case.ts';
import { runCase } from './document-runner.ts';
import { compareCase } from './run.ts';

const cases = readCases(readFileSync(new URL('hcs-documents.json', import.meta.url), 'utf8'));

describe('golden documents', () => {
  it('are all there, each document with its raw text', () => {
    expect(cases).toHaveLength(383);
    expect(cases.filter((testCase) => testCase.documentText !== undefined)).toHaveLength(273);
  });

  it.each(cases)('$name', (testCase) => {
    expect(compareCase(testCase, runCase(testCase))).toEqual([]);
  });
});
