// `npm start -- --once --guest qemu` as a user runs it: simulated nodes, and one node whose guest is a real Linux.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { readExamples } from '../../simulator/playground/expectation.ts';

const program = fileURLToPath(new URL('../../simulator/playground/main.ts', import.meta.url));
const guestsFolder = fileURLToPath(new URL('../../simulator/playground/guests/', import.meta.url));
const examplesFolder = fileURLToPath(new URL('../../examples/', import.meta.url));

// The first run on a machine builds the emulator and the guest.
it('npm start --once brings every example to its expected state, shows it, and ends', async () => {
  const child = spawn(process.execPath, [program, '--once', '--guest', 'qemu', '--timeout', '200'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  expect(code, output).toBe(0);
  expect(output).toContain('Every example is in its expected state.');
  const table = output.split('\n').filter((line) => /^default\//.test(line));
  const examples = await readExamples([examplesFolder, guestsFolder]);
  expect(examples.length).toBeGreaterThanOrEqual(5);
  for (const { key, expected } of examples) {
    const row = table.find((line) => line.startsWith(`${key} `)) ?? '';
    const [phase = '', reason = ''] = expected.split('/');
    expect(row, key).toContain(phase);
    // A running VM shows the last output of its guest; any other VM shows a reason.
    expect(row, key).toMatch(
      phase === 'Running' ? /info (GCS started|kmsg read|bridge negotiated|uptime)/ : new RegExp(reason),
    );
  }
  const running = examples.filter(({ expected }) => expected.startsWith('Running/')).length;
  const counts = output.matchAll(/^(?:win|emulated)-\S+ .* (\d+)\/\d+ +\d+[sm]$/gm);
  expect([...counts].reduce((sum, [, count]) => sum + Number(count), 0)).toBe(running);
}, 900_000);
