// A small set; `npm run test:set-life` has larger ones, and other seeds.
import { expect, it } from 'vitest';
import { liveThrough } from './life.ts';

it('a set ends every part of its life as specified within its budget, while operator and agents are killed', {
  timeout: 1_200_000,
}, async () => {
  const told: string[] = [];
  const options = { replicas: 12, hosts: 4, seed: 3, kills: 1, patienceMilliseconds: 300_000 };
  const report = await liveThrough({ ...options, tell: (line) => told.push(line) }).catch((error: unknown) => {
    throw new Error([String(error), ...told].join('\n'));
  });
  expect(report.violations, told.join('\n')).toEqual([]);
  expect(report.kills).toBeGreaterThan(0);
  // Two restarts of all, except of those that were not available then, and a drain.
  expect(report.disruptions).toBeGreaterThan(options.replicas);
});
