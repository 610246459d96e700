import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

it('does not collect all of the heap for buffers that only pass', async () => {
  const program = fileURLToPath(new URL('./passing-buffers.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program]);
  // One every 64 MB otherwise.
  expect(Number(stdout)).toBeLessThan(3);
});
