// `kubectl luvm cp` with the shell and tar of this machine in place of those of a guest.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { copy } from '../../../kubectl/copy/copy.ts';
import type { GuestProcess } from '../../../kubectl/copy/guest-process.ts';
import { StandInTerminal } from '../../support/kubectl/stand-in-terminal.ts';

let folder: string;
const at = (path: string) => join(folder, path);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'copy-'));
  await mkdir(at('here/tree/empty'), { recursive: true });
  await mkdir(at('guest'));
  await writeFile(at('here/tree/-rf file'), Buffer.alloc(3_000_000, 'abcdefg'));
  await writeFile(at('here/tree/run'), '#!/bin/sh\n');
  await chmod(at('here/tree/run'), 0o755);
  await symlink('run', at('here/tree/link'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

interface Outcome {
  readonly problem: string | undefined;
  readonly stderr: string;
}

/** @param cutAfter the connection breaks when this many bytes were sent to the process */
async function run(from: string, to: string, cutAfter = Number.POSITIVE_INFINITY): Promise<Outcome> {
  const terminal = new StandInTerminal();
  const guest = () => (command: readonly string[]) => Promise.resolve(processOf(command, cutAfter));
  const problem = await copy(from, to, { terminal, guest, isWindows: false }).then(
    () => undefined,
    (error: Error) => error.message,
  );
  return { problem, stderr: terminal.stderr };
}

function processOf([program = '', ...args]: readonly string[], cutAfter: number): GuestProcess {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => undefined);
  let sent = 0;
  const ended = Promise.all([once(child, 'close'), text(child.stderr)]).then(([[code], told]) => {
    if (code !== 0) throw new Error(told.trim());
  });
  ended.catch(() => undefined);
  return {
    // Node throws away what a process that has ended wrote and nobody reads.
    output: child.stdout.pipe(new PassThrough()),
    async send(bytes) {
      sent += bytes.length;
      if (sent > cutAfter) child.stdin.end();
      else if (!child.stdin.write(bytes)) await Promise.race([once(child.stdin, 'drain'), ended]);
    },
    async endInput() {
      child.stdin.end();
    },
    ended,
    close: () => undefined,
  };
}

describe('a copy', () => {
  it('into a guest and out again is the same', async () => {
    expect(await run(at('here/tree'), `web:${at('guest')}`)).toEqual({ problem: undefined, stderr: '' });
    expect((await readdir(at('guest/tree'))).sort()).toEqual(['-rf file', 'empty', 'link', 'run']);
    expect(await readlink(at('guest/tree/link'))).toBe('run');
    const { problem, stderr } = await run(`luvm/web:${at('guest/tree')}`, at('back'));
    expect([problem, stderr]).toEqual([undefined, 'left out: ./tree/link (symlink)\n']);
    expect((await readFile(at('back/-rf file'))).equals(await readFile(at('here/tree/-rf file')))).toBe(true);
    expect((await stat(at('back/run'))).mode & 0o777).toBe(0o755);
    expect((await readdir(folder)).sort()).toEqual(['back', 'guest', 'here']);
  });

  it('of a file replaces a file, and follows a link that is its source', async () => {
    await writeFile(at('guest/target'), 'before');
    expect((await run(at('here/tree/link'), `web:${at('guest/target')}`)).problem).toBeUndefined();
    expect(await readFile(at('guest/target'), 'utf8')).toBe('#!/bin/sh\n');
    await symlink('target', at('guest/link'));
    expect((await run(`web:${at('guest/link')}`, at('here'))).problem).toBeUndefined();
    expect(await readFile(at('here/link'), 'utf8')).toBe('#!/bin/sh\n');
  });

  it('into a guest that is cut leaves what was there before', async () => {
    await writeFile(at('guest/target'), 'before');
    // The last cut is behind the data, before the entry that says that all of it is there.
    for (const cutAfter of [0, 100_000, 2_000_000, 3_000_500]) {
      const { problem } = await run(at('here/tree/-rf file'), `web:${at('guest/target')}`, cutAfter);
      expect(problem).toBeDefined();
      expect(await readdir(at('guest'))).toEqual(['target']);
      expect(await readFile(at('guest/target'), 'utf8')).toBe('before');
    }
  });

  it('says what is wrong', async () => {
    await mkdir(at('guest/there/tree'), { recursive: true });
    for (const [from, to, problem] of [
      [at('here/tree'), `web:${at('guest/nowhere/x')}`, 'no such folder'],
      [at('here/tree'), `web:${at('guest/there')}`, 'a folder of this name exists already'],
      [`web:${at('guest/nothing')}`, at('x'), 'no such file or folder'],
      [`web:${at('guest/there')}`, at('nowhere/x'), 'ENOENT'],
      [`web:${at('guest/there/tree')}`, at('here'), 'a folder of this name exists already'],
      [at('nothing'), 'web:/x', 'ENOENT'],
      [at('here'), at('there'), 'one of the two places must be in a guest'],
      ['web:/a', 'db:/b', 'one of the two places must be in a guest'],
      ['pod/web:/a', at('x'), 'this command takes VMs'],
      ['web:', at('x'), 'no path behind the colon'],
    ] as const) {
      expect((await run(from, to)).problem).toContain(problem);
    }
  });

  it('takes every text as a name, and runs none of it', async () => {
    const name = '$(touch pwned); "x" `id`';
    await writeFile(at(`here/${name}`), 'content');
    expect((await run(at(`here/${name}`), `web:${at('guest')}`)).problem).toBeUndefined();
    expect((await run(`web:${at(`guest/${name}`)}`, at('back'))).problem).toBeUndefined();
    expect(await readFile(at('back'), 'utf8')).toBe('content');
    expect((await readdir(folder)).sort()).toEqual(['back', 'guest', 'here']);
  });
});
