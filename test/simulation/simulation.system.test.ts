// The simulation of the whole system, as its command runs it. A seed takes seconds.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { regressions } from './regressions.ts';

const program = fileURLToPath(new URL('./main.ts', import.meta.url));

/** Rejects when the program ends with another code than 0. */
async function simulate(...flags: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...flags]);
  return stdout;
}

describe('the simulated system', () => {
  it('keeps its invariants, and afterwards becomes what the manifests ask for', async () => {
    expect(await simulate('--seeds', '6')).toContain('6 seeds');
  });

  it.each(regressions)('passes seed $seed, which found that $found', async ({ seed }) => {
    expect(await simulate('--seed', String(seed))).toContain(`seed ${seed}:`);
  });

  it('gives the same events and log lines for the same seed in another process, to the byte', async () => {
    expect(await simulate('--seeds', '1', '--from', '2', '--twice')).toContain(
      '1 seeds gave the same events twice, 0 others',
    );
  });
});
