// What kubectl is told about an incomplete command line.
import { describe, expect, it } from 'vitest';
import { type CompletedFlags, complete } from '../../kubectl/complete.ts';
import { inertProgram } from '../support/kubectl/inert-program.ts';

const program = inertProgram();
let asked: CompletedFlags = {};
const sources = {
  machines: async (flags: CompletedFlags) => {
    asked = flags;
    return ['web-1', 'web-2', 'db'];
  },
  sets: async () => ['web', 'db'],
  namespaces: async () => ['default', 'prod'],
  kubeconfig: async (kind: string) => [`one of ${kind}`],
};
const lines = (...words: readonly string[]) => complete(program, words, sources);
const values = async (...words: readonly string[]) => (await lines(...words)).map((line) => line.split('\t')[0]);

describe('completion', () => {
  it('offers the commands with their descriptions', async () => {
    expect(await lines('re')).toEqual([
      expect.stringMatching(/^restart\trestart VMs/),
      expect.stringMatching(/^resume\tremove/),
      ':4',
    ]);
  });

  it.each([
    ['of a command', ['logs', '--fo'], ['--follow']],
    ['of kubectl', ['logs', 'web', '--request'], ['--request-timeout']],
    ['before the command', ['--name'], ['--namespace']],
  ])('offers flags %s', async (_, words, flags) => {
    expect(await values(...words)).toEqual([...flags, ':4']);
  });

  it('offers the names of VMs, with or without their type, in the namespace that is given', async () => {
    expect(await values('logs', 'web')).toEqual(['web-1', 'web-2', ':4']);
    expect(await values('logs', '-n', 'prod', '--kubeconfig=f', 'luvm/w')).toEqual(['luvm/web-1', 'luvm/web-2', ':4']);
    expect(asked).toEqual({ namespace: 'prod', kubeconfig: 'f' });
    expect(await values('restart', 'web-1', 'web')).toEqual(['web-2', ':4']);
  });

  it('offers the commands below a command, and the names of sets', async () => {
    expect(await values('rollout', 'st')).toEqual(['status', ':4']);
    expect(await values('rollout', 'status', 'luvmset/w')).toEqual(['luvmset/web', ':4']);
    expect(await values('rollout', '-n', 'prod', 'history', '')).toEqual(['web', 'db', ':4']);
    expect(await values('rollout', 'history', 'web', '')).toEqual([':4']);
    expect(await values('rollout', 'status', '--rev')).toEqual(['--revision', ':4']);
    expect(await values('top', '--no')).toEqual([':4']);
    expect(await values('rollout', 'plan', '-f', '')).toEqual([':0']);
    expect(await values('rollout', 'plan', '')).toEqual([':4']);
  });

  it('offers the values of flags', async () => {
    expect(await values('logs', '-n', '')).toEqual(['default', 'prod', ':4']);
    expect(await values('logs', '--namespace=p')).toEqual(['--namespace=prod', ':4']);
    expect(await values('--context', '')).toEqual(['one of contexts', ':4']);
    expect(await values('status', '-o', '')).toEqual(['json', 'yaml', 'name', ':4']);
    expect(await values('logs', '--kubeconfig', '')).toEqual([':0']);
  });

  it('offers nothing where it knows nothing', async () => {
    for (const words of [
      ['exec', 'web-1', '--', ''],
      ['console', 'web-1', ''],
      ['port-forward', 'web-1', ''],
      ['nosuch', ''],
      ['logs', '--tail', ''],
    ]) {
      expect(await lines(...words)).toEqual([':4']);
    }
    const failing = { ...sources, machines: () => Promise.reject(new Error('no cluster')) };
    expect(await complete(program, ['logs', ''], failing)).toEqual([':4']);
  });
});
