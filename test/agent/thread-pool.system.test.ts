import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { poolProblem, poolSize, setDefaultPoolSize } from '../../agent/bounds/pool-size.ts';
import { buildDouble } from '../support/doubles/build.ts';

const program = fileURLToPath(new URL('../support/agent/blocked-calls.ts', import.meta.url));
const figures = z.object({
  begun: z.int(),
  returnedMeanwhile: z.int(),
  took: z.array(z.object({ read: z.number(), lookUp: z.number() })),
});

async function blockCalls(milliseconds: number, environment: NodeJS.ProcessEnv) {
  const options = { env: { ...environment, PATH: process.env['PATH'] } };
  const { stdout } = await promisify(execFile)(process.execPath, [program, String(milliseconds)], options);
  return figures.parse(JSON.parse(stdout));
}

describe('the threads for native calls', () => {
  beforeAll(async () => {
    await buildDouble('computecore');
  });

  it('are enough to read files and look up names while 100 calls hang, even in an agent that was started by hand', async () => {
    const { begun, returnedMeanwhile, took } = await blockCalls(1000, {});
    expect(took).toHaveLength(5);
    expect(returnedMeanwhile).toBe(0);
    // Half of the pool, less the thread that is kept for calls that only wait for one of our callbacks.
    expect(begun).toBe(15);
  });

  it('follow the environment variable', () => {
    const sizes = { '': 1, '0': 1, '8': 8, '64': 64, '5000': 1024, '-1': 1024, many: 1 };
    for (const [given, size] of Object.entries(sizes)) expect(poolSize({ UV_THREADPOOL_SIZE: given })).toBe(size);
    expect(poolSize({})).toBe(4);
    const chosen: NodeJS.ProcessEnv = { UV_THREADPOOL_SIZE: '8' };
    setDefaultPoolSize(chosen, 'linux');
    expect(chosen).toEqual({ UV_THREADPOOL_SIZE: '8' });
  });

  it('cannot be changed from inside the process on Windows, and the agent tells the user so', () => {
    const environment: NodeJS.ProcessEnv = {};
    setDefaultPoolSize(environment, 'win32');
    expect(environment).toEqual({});
    expect(poolProblem(environment)).toContain('UV_THREADPOOL_SIZE=32');
    expect(poolProblem({ UV_THREADPOOL_SIZE: '32' })).toBeUndefined();
  });
});
