// The double must be as strict as it promises. Otherwise the tests that rely on it prove nothing.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildDouble } from './build.ts';

const program = fileURLToPath(new URL('./computecore-misuse.ts', import.meta.url));
let library: string;

beforeAll(async () => {
  library = await buildDouble('computecore', { define: ['DEADLOCK_MILLISECONDS=300'] });
});

function misuse(name: string): Promise<{ readonly signal: string | undefined; readonly said: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, name, library], (error, _, said) => {
      resolve({ signal: error?.signal ?? undefined, said: said.trim() });
    });
  });
}

const violations: readonly (readonly [string, string])[] = [
  ['closes an operation twice', 'HcsCloseOperation: the handle was used after it was closed'],
  ['takes an operation for a system', 'HcsCloseComputeSystem: the handle is one of another kind'],
  ['takes a system for an operation', 'HcsCloseOperation: the handle is one of another kind'],
  ['makes a handle up', 'HcsCloseComputeSystem: there never was such a handle'],
  ['uses a closed system', 'HcsStartComputeSystem: the handle was used after it was closed'],
  ['closes a running operation', 'HcsCloseOperation: the operation is still running'],
  ['closes a system under a running operation', 'HcsCloseComputeSystem: a call on the system is still running'],
  ['frees a text twice', 'LocalFree: not a result text, or freed before'],
  ['frees what is no text', 'LocalFree: not a result text, or freed before'],
  [
    'closes on the thread that its callback needs',
    'deadlock: HcsCloseComputeSystem waits for a callback that does not return',
  ],
];

describe('the computecore double', () => {
  it.each(violations)('kills a process that %s', async (name, message) => {
    expect(await misuse(name)).toEqual({ signal: 'SIGABRT', said: `computecore double: ${message}` });
  });

  it('leaves a process alone that does nothing wrong', async () => {
    expect(await misuse('nothing')).toEqual({ signal: undefined, said: '' });
  });
});
