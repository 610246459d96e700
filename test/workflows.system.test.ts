// The workflows that GitHub runs: checked by actionlint, pinned to commits, with no more rights than they use.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { actionlint } from './support/charts/judges.ts';

const folder = fileURLToPath(new URL('../.github/workflows/', import.meta.url));
const files = await readdir(folder);
const rights = z.record(z.string(), z.enum(['read', 'write']));
const workflow = z.object({
  permissions: rights,
  jobs: z.record(
    z.string(),
    z.object({
      permissions: rights.optional(),
      'timeout-minutes': z.int(),
      steps: z.array(z.object({ uses: z.string().optional(), with: z.record(z.string(), z.unknown()).optional() })),
    }),
  ),
});

it('actionlint accepts the workflows', async () => {
  const { code, stdout, stderr } = await actionlint.run([
    '-no-color',
    '-shellcheck=',
    ...files.map((file) => join(folder, file)),
  ]);
  expect(`${stdout}${stderr}`).toBe('');
  expect(code).toBe(0);
});

describe.each(files)('%s', async (file) => {
  const text = await readFile(join(folder, file), 'utf8');
  const { jobs, permissions } = workflow.parse(parse(text));
  const steps = Object.values(jobs).flatMap((job) => job.steps);

  it('name each action by its commit, with its version as a comment', () => {
    const named = text.split('\n').filter((line) => line.includes('uses:'));
    expect(named.filter((line) => !/uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))).toEqual([]);
  });

  it('write only where a job says so, and leave no token in the work tree', () => {
    expect(Object.values(permissions)).not.toContain('write');
    const checkouts = steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'));
    expect(checkouts.length).toBeGreaterThan(0);
    for (const checkout of checkouts) expect(checkout.with?.['persist-credentials']).toBe(false);
  });
});
