import { defineConfig } from 'vitest/config';
import { compileCache } from './test/support/cache-folder.ts';
import { SlowestFirst } from './test/support/slowest-first.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // One real control plane for the whole run.
    globalSetup: ['test/support/control-plane/shared.ts'],
    // Most of the time tests wait for processes of their own: more of them at once than there are cores.
    maxWorkers: 4,
    sequence: { sequencer: SlowestFirst },
    // Bounds for what hangs, wide enough for a machine that is busy with other things.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    // What is polled here is a process, or asks one.
    expect: { poll: { interval: 200 } },
    env: { NODE_COMPILE_CACHE: compileCache },
  },
});
