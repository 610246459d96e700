// The name of a test file says what kind of test it is. A unit test starts no programs and needs no cluster, so it is
// fast. Every test that can be a unit test is one.
import { globSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { project } from './support/source-imports.ts';
import { systemParts, systemTests, unitTests } from './support/test-kinds.ts';

const filesOf = (pattern: string) => globSync(pattern, { cwd: project }).sort();

describe('the name of a test file', () => {
  it('has one of the two kinds', () => {
    const both = [...filesOf(unitTests), ...filesOf(systemTests)].sort();
    expect(both).toEqual(filesOf('test/**/*.test.ts'));
    expect(filesOf(systemTests)).not.toEqual([]);
  });

  it.each(filesOf(unitTests))('%s starts no programs and needs no control plane', (file) => {
    expect(systemParts(file)).toEqual([]);
  });

  it('is that of a system test only if the test needs it', () => {
    expect(filesOf(systemTests).filter((file) => systemParts(file).length === 0)).toEqual([]);
  });
});
