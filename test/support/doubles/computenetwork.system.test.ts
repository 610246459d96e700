// The double must be as strict as it promises. Otherwise the tests that rely on it prove nothing.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildDouble } from './build.ts';

const program = fileURLToPath(new URL('./computenetwork-misuse.ts', import.meta.url));
let library: string;

beforeAll(async () => {
  library = await buildDouble('computenetwork');
});

function misuse(name: string): Promise<{ readonly signal: string | undefined; readonly said: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, name, library], (error, _, said) => {
      resolve({ signal: error?.signal ?? undefined, said: said.trim() });
    });
  });
}

const violations: readonly (readonly [string, string])[] = [
  ['closes a network twice', 'HcnCloseNetwork: the handle was used after it was closed'],
  ['takes a network for an endpoint', 'HcnCloseEndpoint: the handle is one of another kind'],
  ['makes a handle up', 'HcnCloseNetwork: there never was such a handle'],
  ['uses a closed network', 'HcnQueryNetworkProperties: the handle was used after it was closed'],
  ['closes a network under a running call', 'HcnCloseNetwork: a call on the handle is still running'],
  ['frees a text twice', 'CoTaskMemFree: not a text of a call, or freed before'],
  ['frees what is no text', 'CoTaskMemFree: not a text of a call, or freed before'],
];

describe('the computenetwork double', () => {
  it.each(violations)('kills a process that %s', async (name, message) => {
    expect(await misuse(name)).toEqual({ signal: 'SIGABRT', said: `computenetwork double: ${message}` });
  });

  it('leaves a process alone that does nothing wrong', async () => {
    expect(await misuse('nothing')).toEqual({ signal: undefined, said: '' });
  });
});
