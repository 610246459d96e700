// The two kinds of tests, distinguished by file name: `*.test.ts` is a unit test; `*.system.test.ts` starts programs or
// needs a cluster.
import { loadedBy } from './source-imports.ts';

export const unitTests = 'test/**/!(*.system).test.ts';
export const systemTests = 'test/**/*.system.test.ts';

const controlPlaneFolder = 'test/support/control-plane/';

/** Why a test is a system test: what it loads, with the chain of imports. Empty for a unit test. */
export function systemParts(testFile: string): string[] {
  return [...loadedBy(testFile)]
    .filter(([loaded]) => loaded === 'node:child_process' || loaded.startsWith(controlPlaneFolder))
    .map(([, way]) => way.join(' → '));
}

export function needsControlPlane(testFile: string): boolean {
  return [...loadedBy(testFile).keys()].some((loaded) => loaded.startsWith(controlPlaneFolder));
}
