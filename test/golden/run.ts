// node test/golden/run.ts FILE… [--results OUT]
// Runs files of document cases (README.md; a JSON array or JSON lines) against the builder and prints every difference. With
// --results it writes one JSON line a case: what the builder really gave, the document as the exact text for HCS.
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Difference, differences } from './difference.ts';
import { type DocumentCase, readCases } from './document-case.ts';
import { type CaseResult, runCase } from './document-runner.ts';
import { parseExact, printExact } from './exact-json.ts';

/** Compares as values; and when those agree, the document's text byte for byte. */
export function compareCase(testCase: DocumentCase, result: CaseResult): Difference[] {
  const { documentText, ...rest } = result;
  const asExpected = typeof documentText === 'string' ? { document: parseExact(documentText), ...rest } : rest;
  const found = differences(testCase.expect, asExpected);
  const sameText = testCase.documentText === undefined || testCase.documentText === documentText;
  if (found.length > 0 || sameText) {
    return found;
  }
  return [{ path: 'document (text)', expected: testCase.documentText ?? '', got: String(documentText) }];
}

/** A case that makes the builder throw must not hide the others. */
function runSafely(testCase: DocumentCase): CaseResult {
  try {
    return runCase(testCase);
  } catch (error) {
    return { thrown: String(error) };
  }
}

function main(): void {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { results: { type: 'string' } } });
  if (positionals.length === 0) {
    process.stderr.write('usage: node test/golden/run.ts FILE… [--results OUT]\n');
    process.exitCode = 2;
    return;
  }
  if (values.results !== undefined) {
    writeFileSync(values.results, '');
  }
  const cases = positionals.flatMap((file) => readCases(readFileSync(file, 'utf8')));
  const failed = cases.filter((testCase) => !report(testCase, values.results)).length;
  process.stdout.write(`${cases.length - failed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}

function report(testCase: DocumentCase, resultsFile: string | undefined): boolean {
  const result = runSafely(testCase);
  if (resultsFile !== undefined) {
    appendFileSync(resultsFile, `${printExact({ name: testCase.name, ...result })}\n`);
  }
  const found = compareCase(testCase, result);
  for (const { path, expected, got } of found) {
    process.stdout.write(`${testCase.name}\n  ${path}\n    expected ${expected}\n    got      ${got}\n`);
  }
  return found.length === 0;
}

if (import.meta.main) {
  main();
}
