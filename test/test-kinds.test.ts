// The name of a test file says what kind of test it is. A unit test is fast, because it starts no programs, hosts or
// servers. Every test that can be a unit test is one.
import { globSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { project } from './support/source-imports.ts';
import { installTests, systemParts, systemTests, unitTests } from './support/test-kinds.ts';

const filesOf = (pattern: string) => globSync(pattern, { cwd: project }).sort();

/** They run nothing but this project's code, but take seconds: they try many cases, or wait for real time. */
const slow = [
  'test/agent/document/properties.system.test.ts',
  'test/agent/document/second-model.system.test.ts',
  'test/agent/guest/log/turns.system.test.ts',
  'test/golden/lives.system.test.ts',
  'test/kubectl/copy/hostile-archive.system.test.ts',
  'test/kubectl/top.system.test.ts',
  'test/operator/certificates/rotation.system.test.ts',
  'test/protocol/channel.system.test.ts',
  'test/protocol/streams.system.test.ts',
  'test/simulation/api-server/server.system.test.ts',
  'test/simulation/disk/journal.system.test.ts',
];

describe('the name of a test file', () => {
  it('has one of the kinds', () => {
    const known = [unitTests, systemTests, installTests].flatMap(filesOf).sort();
    expect(known).toEqual(filesOf('test/**/*.test.ts'));
    for (const pattern of [systemTests, installTests]) expect(filesOf(pattern)).not.toEqual([]);
  });

  it.each(filesOf(unitTests))('%s starts no programs, hosts or servers', (file) => {
    expect(systemParts(file)).toEqual([]);
  });

  it('is that of another kind only if the test needs it', () => {
    const others = [...filesOf(systemTests), ...filesOf(installTests)];
    expect(others.filter((file) => systemParts(file).length === 0)).toEqual(slow);
  });
});
