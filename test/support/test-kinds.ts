// The three kinds of tests, distinguished by file name. `*.test.ts` is a unit test. `*.system.test.ts` runs the system
// or parts of it as its users do: with programs, hosts and servers, in real time. `*.install.test.ts` checks what is
// installed, by the tools that install it: charts, images, packages, and the pages that explain them.
import { loadedBy } from './source-imports.ts';

export const unitTests = 'test/**/!(*.system|*.install).test.ts';
export const systemTests = 'test/**/*.system.test.ts';
export const installTests = 'test/**/*.install.test.ts';

const controlPlaneFolder = 'test/support/control-plane/';
/** Programs; a whole host, whose VMs boot in real time; HTTP, whose client alone takes a second to load. */
const systemModules = ['node:child_process', 'test/support/agent/simulated-node.ts', 'undici'];

/** Why a test is no unit test: what it loads, with the chain of imports. */
export function systemParts(testFile: string): string[] {
  return [...loadedBy(testFile)]
    .filter(([loaded]) => systemModules.includes(loaded) || loaded.startsWith(controlPlaneFolder))
    .map(([, way]) => way.join(' → '));
}

export function needsControlPlane(testFile: string): boolean {
  return [...loadedBy(testFile).keys()].some((loaded) => loaded.startsWith(controlPlaneFolder));
}
