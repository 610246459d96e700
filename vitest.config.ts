import { defineConfig } from 'vitest/config';
import { compileCache } from './test/support/cache-folder.ts';
import { SlowestFirst } from './test/support/slowest-first.ts';
import { installTests, systemTests, unitTests } from './test/support/test-kinds.ts';

const withCluster = { globalSetup: ['test/support/control-plane/shared.ts'], isolate: false };

export default defineConfig({
  test: {
    // Most of the time tests wait for processes of their own: more of them at once than there are cores.
    maxWorkers: 5,
    sequence: { sequencer: SlowestFirst },
    // Bounds for what hangs, wide enough for a machine that is busy with other things.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    // What is polled here is a process, or asks one.
    expect: { poll: { interval: 200 } },
    // Most programs that tests start are written in Go and end soon: they collect no garbage before they use a GiB.
    env: { NODE_COMPILE_CACHE: compileCache, GOGC: 'off', GOMEMLIMIT: '1GiB' },
    projects: [
      // The code itself: no cluster, no programs. The files share the modules that a worker has loaded, which saves a
      // third of the time; so no module may keep a state that another file could see.
      { test: { name: 'unit', include: [unitTests], isolate: false } },
      // What needs more. A cluster that tests share is started when the first of them asks for it.
      { test: { name: 'system', include: [systemTests], ...withCluster } },
      { test: { name: 'install', include: [installTests], ...withCluster } },
    ],
  },
});
