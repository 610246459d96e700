import { expect, it } from 'vitest';
import { serveHealth } from '../../../agent/metrics/health.ts';

it('an agent is healthy at once, and ready when its node is known', async () => {
  let ready = false;
  const metrics = () => Promise.reject(new Error('no metrics'));
  const health = await serveHealth(0, { isReady: () => ready, metrics });
  const status = async (path: string) => (await fetch(`http://127.0.0.1:${health.port}${path}`)).status;
  expect(await status('/healthz')).toBe(200);
  expect(await status('/readyz')).toBe(503);
  ready = true;
  expect(await status('/readyz')).toBe(200);
  expect(await status('/')).toBe(404);
  expect(await status('/metrics')).toBe(500);
  health.close();
});
