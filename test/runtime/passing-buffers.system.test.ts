import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

it('short-lived buffers do not cause full garbage collections', async () => {
  const program = fileURLToPath(new URL('./passing-buffers.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program]);
  // Without the setting there is one every 64 MB.
  expect(Number(stdout)).toBeLessThan(3);
});
