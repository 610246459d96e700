import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { runAgent } from '../../agent/agent.ts';
import { acquireInstanceLock } from '../../agent/instance-lock.ts';
import { defaultTimeouts } from '../../agent/timeouts.ts';
import { systemClock } from '../../protocol/clock.ts';

it('an agent that cannot have its node leaves nothing that would keep its process alive', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'start-'));
  const stateDir = join(folder, 'state');
  const silent = pino({ level: 'silent' });
  const healthPort = await freePort();
  const run = runAgent(
    {
      version: '0.0.0',
      operator: { url: 'wss://127.0.0.1:1/v1/agents', tokenFile: join(folder, 'token'), caFile: undefined },
      stateDir,
      stateFolder: stateDir,
      ownFolders: [],
      timeouts: defaultTimeouts,
      allowed: { paths: [], pipes: [], devices: [] },
      guestLog: {},
      healthPort,
    },
    () => Promise.reject(new Error('there is no computecore.dll')),
    silent,
    new AbortController().signal,
  );
  await expect(run).rejects.toThrow('there is no computecore.dll');
  await expect(fetch(`http://127.0.0.1:${healthPort}/healthz`)).rejects.toThrow('fetch failed');
  (await acquireInstanceLock(stateDir, systemClock, silent, AbortSignal.timeout(5_000))).release();
  await rm(folder, { recursive: true });
});

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => (typeof address === 'object' && address !== null ? resolve(address.port) : reject(address)));
    });
  });
}
