import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // One real control plane for the whole run.
    globalSetup: ['test/controlplane/shared.ts'],
    // Most of the time tests wait for processes of their own: more of them at once than there are cores.
    maxWorkers: 4,
    testTimeout: 40_000,
    // The first start on a machine builds the control plane.
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
  },
});
