// The simulation of the whole system, as its command runs it. A seed takes seconds.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { regressions } from './regressions.ts';

const program = fileURLToPath(new URL('./main.ts', import.meta.url));

/** Rejects when the program ends with another code than 0. */
async function simulate(...flags: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...flags], { maxBuffer: 256 << 20 });
  return stdout;
}

describe('the simulated system', () => {
  it('keeps its invariants, and afterwards becomes what the manifests ask for', async () => {
    expect(await simulate('--seeds', '6')).toContain('6 seeds');
  });

  it.each(regressions)('passes seed $seed, which found that $found', async ({ seed }) => {
    expect(await simulate('--seed', String(seed))).toContain(`seed ${seed}:`);
  });

  it('gives the same log for the same seed in another process, to the byte', async () => {
    const logs = await Promise.all([1, 2].map(() => simulate('--seed', '2', '--trace', '--logs')));
    const [one, other] = logs.map((log) => createHash('sha256').update(log).digest('hex'));
    expect(logs[0]?.length).toBeGreaterThan(100_000);
    expect(one).toBe(other);
  });
});
