import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { runAgent } from '../../agent/agent.ts';
import { defaultTimeouts } from '../../agent/bounds/timeouts.ts';
import { realOutside } from '../../agent/commands/outside.ts';
import { systemIdOf } from '../../agent/node/system-id.ts';
import { acquireInstanceLock } from '../../agent/storage/instance-lock.ts';
import { localStorage } from '../../agent/storage/local-storage.ts';
import { systemClock } from '../../runtime/clock.ts';
import { isRunning, startCore, testTimeouts } from '../support/agent/agent-core.ts';
import { makeAssignment } from '../support/agent/assignments.ts';
import { startNode, type TestNode } from '../support/agent/simulated-node.ts';

it('an agent that cannot open its node leaves nothing behind that keeps its process alive', async () => {
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
    realOutside(
      { storage: localStorage, connect: () => Promise.reject(new Error('there is no computecore.dll')) },
      silent,
    ),
    new AbortController().signal,
  );
  await expect(run).rejects.toThrow('there is no computecore.dll');
  await expect(fetch(`http://127.0.0.1:${healthPort}/healthz`)).rejects.toThrow('fetch failed');
  (
    await acquireInstanceLock(
      localStorage.locks(stateDir, () => {}),
      systemClock,
      silent,
      AbortSignal.timeout(5_000),
    )
  ).release();
  await rm(folder, { recursive: true });
});

describe('an agent whose compute service goes away while it recovers', () => {
  const uid = makeAssignment().uid;
  const outlives = makeAssignment({ options: { TerminateOnAgentExit: false } });

  it.each(['open', 'properties', 'enumerate'] as const)(
    'ends, so that a new agent recovers instead: %s',
    async (at) => {
      await using node = await startNode();
      const first = await startCore(node);
      await first.supervisor.assign(outlives);
      await first.until(uid, 'running', isRunning);
      await first.kill();
      await node.control.script({ at, fail: { hresult: '0x8037011e' }, times: 'always' });
      expect(await runOn(node)).toBe('serviceLost');
      expect((await node.control.system(systemIdOf(uid)))?.state).toBe('Running');
    },
  );

  it('ends its process with exit code 75', async () => {
    await using node = await startNode();
    await node.control.script({ at: 'enumerate', fail: { hresult: '0x8037011e' }, times: 'always' });
    const program = fileURLToPath(new URL('../../simulator/agent.ts', import.meta.url));
    const flags = {
      'operator-url': 'wss://127.0.0.1:1/v1/agents',
      'token-file': join(node.folder, 'token'),
      'state-dir': join(node.folder, 'agent'),
      'simulated-socket': node.socketPath,
    };
    const given = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
    const code = await new Promise((resolve) => {
      execFile(process.execPath, [program, ...given], (error) => resolve(error?.code));
    });
    expect(code).toBe(75);
  });

  it('ends even when its handles cannot be closed', async () => {
    await using node = await startNode();
    await node.control.script({ at: 'enumerate', fail: { hresult: '0x8037011e' }, times: 'always' });
    expect(await runOn(node, () => new Promise(() => {}))).toBe('serviceLost');
  });

  async function runOn(node: TestNode, close?: () => Promise<void>) {
    const connection = await node.connect();
    const readConsole = () => new PassThrough();
    return await runAgent(
      {
        version: '0.0.0',
        operator: { url: 'wss://127.0.0.1:1/v1/agents', tokenFile: join(node.folder, 'token'), caFile: undefined },
        stateDir: join(node.folder, 'agent'),
        stateFolder: 'C:\\ProgramData\\lcow',
        ownFolders: [],
        timeouts: { ...testTimeouts, leave: 100, liveness: 50 },
        allowed: { paths: [], pipes: [], devices: [] },
        guestLog: {},
        healthPort: undefined,
      },
      realOutside(
        {
          storage: localStorage,
          connect: () =>
            Promise.resolve({ ...connection, readConsole, uptime: () => 0, close: close ?? connection.close }),
        },
        pino({ level: 'silent' }),
      ),
      new AbortController().signal,
    );
  }
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
