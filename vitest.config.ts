import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // One real control plane for the whole run.
    globalSetup: ['test/controlplane/shared.ts'],
    testTimeout: 40_000,
    // The first start on a machine builds the control plane.
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
  },
});
