// Tokens that are read from a file, for development.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { StaticTokens } from '../../../operator/agents/authentication.ts';

describe('static tokens', () => {
  let path: string;
  let log: string[];
  let tokens: StaticTokens;

  beforeEach(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'lcow-tokens-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    path = join(directory, 'tokens.yaml');
    log = [];
    tokens = new StaticTokens(path, pino({ base: {} }, { write: (line) => void log.push(line) }));
  });

  it('name the node of each token, are read again when they change, and cannot be checked without their file', async () => {
    expect(await tokens.authenticate('token-of-node-a-1')).toMatchObject({ ok: false, retry: true });
    await writeFile(path, 'token-of-node-a-1: node-a\n');
    expect(await tokens.authenticate('token-of-node-a-1')).toEqual({ ok: true, nodeName: 'node-a' });
    expect(await tokens.authenticate('token-of-node-b-1')).toMatchObject({ ok: false, retry: false });
    await writeFile(path, JSON.stringify({ 'token-of-node-b-1': 'node-b' }));
    expect(await tokens.authenticate('token-of-node-b-1')).toEqual({ ok: true, nodeName: 'node-b' });
    expect(await tokens.authenticate('token-of-node-a-1')).toMatchObject({ ok: false });
    expect(log).toEqual([]);
  });

  it.each([
    ['too short a token', 'fifteen-letters', 'node-a', 'node-a'],
    ['a token with a space', 'token of node-a, number 1', 'node-a', 'node-a'],
    ['a node that has no name', 'secret-of-nobody-1', '', '"entry":1'],
    ['a node that is a list', 'secret-of-nobody-2', ['node-a'], '"entry":1'],
    ['a node that is null', 'secret-of-nobody-3', null, '"entry":1'],
  ])('are refused separately: %s affects no other agent', async (_name, token, node, told) => {
    await writeFile(path, JSON.stringify({ [token]: node, 'token-of-node-b-1': 'node-b' }));
    expect(await tokens.authenticate('token-of-node-b-1')).toEqual({ ok: true, nodeName: 'node-b' });
    expect(await tokens.authenticate(token)).toMatchObject({ ok: false, retry: false });
    expect(log).toEqual([expect.stringContaining(told)]);
    expect(log.join()).not.toContain(token);
  });

  it.each([
    ['neither YAML nor JSON', '{"secret-token-of-a": '],
    ['a list', '- secret-token-of-a'],
    ['a token twice', 'secret-token-of-a: node-a\nsecret-token-of-a: node-b'],
    ['empty', ''],
  ])('keep the last good file in use while it is %s', async (_name, text) => {
    await writeFile(path, 'token-of-node-a-1: node-a\n');
    expect(await tokens.authenticate('token-of-node-a-1')).toMatchObject({ ok: true });
    await writeFile(path, text);
    for (let each = 0; each < 3; each += 1) {
      expect(await tokens.authenticate('token-of-node-a-1')).toEqual({ ok: true, nodeName: 'node-a' });
    }
    expect(log).toHaveLength(1);
    expect(log.join()).not.toContain('secret');
    await writeFile(path, 'token-of-node-c-1: node-c\n');
    expect(await tokens.authenticate('token-of-node-a-1')).toMatchObject({ ok: false });
  });
});
