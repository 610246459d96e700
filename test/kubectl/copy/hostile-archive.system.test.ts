// A hostile guest decides what its tar writes. Whatever that is, nothing outside the target changes: the faults that
// kubectl cp had (CVE-2018-1002100, CVE-2019-1002101, CVE-2019-11246, CVE-2019-11249, CVE-2019-11251), and others.
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { type Header, pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { copy } from '../../../kubectl/copy/copy.ts';
import type { GuestProcess } from '../../../kubectl/copy/guest-process.ts';
import { partsBelowRoot } from '../../../kubectl/copy/safe-path.ts';
import { StandInTerminal } from '../../support/kubectl/stand-in-terminal.ts';

type Sent = readonly (readonly [Header, string?])[];

let folder: string;
let target: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hostile-archive-'));
  target = join(folder, 'target');
  await mkdir(target);
  await mkdir(join(folder, 'outside'));
  await writeFile(join(folder, 'outside/file'), 'mine');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function archiveOf(sent: Sent): Promise<Buffer> {
  const archive = pack();
  for (const [header, content = ''] of sent) archive.entry(header, content);
  archive.finalize();
  return await buffer(archive);
}

interface Fetched {
  /** Undefined: the copy succeeded. */
  readonly problem: string | undefined;
  readonly stderr: string;
}

/** Copies from a guest that sends these bytes and then ends. */
async function fetched(archive: Buffer, end: Promise<void> = Promise.resolve(), to = target): Promise<Fetched> {
  const terminal = new StandInTerminal();
  end.catch(() => undefined);
  const process: GuestProcess = {
    output: chunksOf(archive),
    send: () => Promise.resolve(),
    endInput: () => Promise.resolve(),
    ended: end,
    close: () => undefined,
  };
  const guest = () => () => Promise.resolve(process);
  const problem = await copy('web:/data', to, { terminal, guest, isWindows: false }).then(
    () => undefined,
    (error: Error) => error.message,
  );
  return { problem, stderr: terminal.stderr };
}

async function* chunksOf(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let start = 0; start < bytes.length; start += 10_000) yield bytes.subarray(start, start + 10_000);
}

/** Everything in the folder of the test, with its type and content. */
async function everything(): Promise<Readonly<Record<string, string>>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const kind = entry.isSymbolicLink() ? 'link' : entry.isDirectory() ? 'folder' : await readFile(path, 'utf8');
    found[path.slice(folder.length + 1)] = kind;
  }
  return found;
}
const untouched = { outside: 'folder', 'outside/file': 'mine', target: 'folder' };

describe('an archive of a hostile guest', () => {
  it.each<[string, Sent]>([
    ['a name with ..', [[{ name: './data/../../outside/file' }, 'theirs']]],
    ['a name that begins with ..', [[{ name: '../outside/file' }, 'theirs']]],
    ['an absolute name', [[{ name: '/tmp/theirs' }, 'theirs']]],
    ['a folder with ..', [[{ name: 'data/../../outside/new', type: 'directory' }]]],
    [
      'two roots',
      [
        [{ name: 'data/a' }, 'a'],
        [{ name: 'other/b' }, 'b'],
      ],
    ],
    [
      'the same file twice',
      [
        [{ name: 'data/a' }, 'a'],
        [{ name: 'data/a' }, 'b'],
      ],
    ],
    [
      'a file where a folder is',
      [
        [{ name: 'data/a/b' }, 'b'],
        [{ name: 'data/a' }, 'a'],
      ],
    ],
    ['a hard link with ..', [[{ name: 'data/../../outside/new', type: 'link', linkname: 'data' }]]],
    ['nothing', []],
  ])('with %s is refused, and leaves nothing', async (_, sent) => {
    expect((await fetched(await archiveOf(sent))).problem).toBeDefined();
    expect(await everything()).toEqual(untouched);
  });

  it('with a link and files below it writes the files below the target', async () => {
    const { problem, stderr } = await fetched(
      await archiveOf([
        [{ name: 'data', type: 'directory' }],
        [{ name: 'data/link', type: 'symlink', linkname: join(folder, 'outside') }],
        [{ name: 'data/link/file' }, 'theirs'],
        [{ name: 'data/up', type: 'symlink', linkname: '../..' }],
        [{ name: 'data/up/outside/file' }, 'theirs'],
      ]),
    );
    expect(problem).toBeUndefined();
    expect(stderr).toContain('left out: data/link (symlink)\n');
    expect(await everything()).toEqual({
      ...untouched,
      'target/data': 'folder',
      'target/data/link': 'folder',
      'target/data/link/file': 'theirs',
      'target/data/up': 'folder',
      'target/data/up/outside': 'folder',
      'target/data/up/outside/file': 'theirs',
    });
  });

  it('gets no link as its root, and hard links only to its own files', async () => {
    expect(
      (await fetched(await archiveOf([[{ name: 'data', type: 'symlink', linkname: '/etc' }]]))).problem,
    ).toBeDefined();
    const { stderr } = await fetched(
      await archiveOf([
        [{ name: 'data/a' }, 'theirs'],
        [{ name: 'data/same', type: 'link', linkname: 'data/a' }],
        [{ name: 'data/mine', type: 'link', linkname: join(folder, 'outside/file') }],
        [{ name: 'data/up', type: 'link', linkname: '../outside/file' }],
      ]),
    );
    expect(stderr).toBe('left out: data/mine (link)\nleft out: data/up (link)\n');
    const target = { 'target/data': 'folder', 'target/data/a': 'theirs', 'target/data/same': 'theirs' };
    expect(await everything()).toEqual({ ...untouched, ...target });
  });

  it('fills no disk with copies of one file, and no memory with names', async () => {
    await fetched(
      await archiveOf([[{ name: 'data/a' }, 'theirs'], [{ name: 'data/same', type: 'link', linkname: 'data/a' }]]),
    );
    expect((await lstat(join(target, 'data/same'))).nlink).toBe(2);
    await rm(join(target, 'data'), { recursive: true });
    const parts = Array.from({ length: 200 }, () => 'x'.repeat(250)).join('/');
    const links = Array.from({ length: 1_400 }, (_, index) => {
      return [{ name: `data/${index}/${parts}`, type: 'fifo' as const }] as const;
    });
    expect((await fetched(await archiveOf(links))).problem).toContain('its names are too long');
  });

  it('makes no devices and pipes, and no file that runs as its owner or that others can write', async () => {
    const { problem } = await fetched(
      await archiveOf([
        [{ name: 'data/run', mode: 0o6777 }, 'x'],
        [{ name: 'data/null', type: 'character-device' }],
        [{ name: 'data/disk', type: 'block-device' }],
        [{ name: 'data/pipe', type: 'fifo' }],
      ]),
    );
    expect(problem).toBeUndefined();
    expect(await readdir(join(target, 'data'))).toEqual(['run']);
    expect((await lstat(join(target, 'data/run'))).mode & 0o7777 & ~0o755).toBe(0);
  });

  it('gets the name that the user gave, not its own', async () => {
    await fetched(await archiveOf([[{ name: './.bashrc' }, 'theirs']]));
    expect(Object.keys(await everything())).toContain('target/data');
    await fetched(await archiveOf([[{ name: './.bashrc' }, 'theirs']]), Promise.resolve(), join(target, 'given'));
    expect((await readdir(target)).sort()).toEqual(['data', 'given']);
  });

  it('replaces a link at the final name, not what it points at', async () => {
    await symlink(join(folder, 'outside/file'), join(target, 'data'));
    expect((await fetched(await archiveOf([[{ name: 'data' }, 'theirs']]))).problem).toBeUndefined();
    expect(await everything()).toEqual({ ...untouched, 'target/data': 'theirs' });
  });

  it('cannot keep the memory of the plugin with a long header', async () => {
    const header = await archiveOf([[{ name: 'x', type: 'file', size: 8 << 20 }, 'x'.repeat(8 << 20)]]);
    header.write('x', 156, 'latin1');
    const sum = header.subarray(0, 512).reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    expect((await fetched(header)).problem).toBeDefined();
    expect(await everything()).toEqual(untouched);
  });

  it('that is cut anywhere, or whose process fails, leaves what was there before', async () => {
    await writeFile(join(target, 'data'), 'before');
    const whole = await archiveOf([[{ name: 'data' }, 'after'.repeat(1_000)]]);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: whole.length - 1_024 }), async (length) => {
        const lost = Promise.reject(new Error('the connection was lost'));
        expect((await fetched(whole.subarray(0, length), lost)).problem).toBe('the connection was lost');
        expect(await everything()).toEqual({ ...untouched, 'target/data': 'before' });
      }),
      { numRuns: 25 },
    );
    const failed = Promise.reject(new Error('tar: read error'));
    expect((await fetched(whole, failed)).problem).toBe('tar: read error');
    expect(await everything()).toEqual({ ...untouched, 'target/data': 'before' });
  });

  it('writes nothing outside the target, whatever its names and types are', async () => {
    const part = fc.constantFrom('..', '.', '', 'data', 'a', 'outside', 'file', '\u0000', '-rf', '~');
    const name = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/') || 'x');
    const type = fc.constantFrom('file', 'directory', 'symlink', 'link', 'fifo');
    const entry = fc.record({ name, type, linkname: name });
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 5 }), async (headers) => {
        const sent = headers.map((header) => [header, header.type === 'file' ? 'theirs' : ''] as const);
        await fetched(await archiveOf(sent));
        const { target: _, ...outside } = untouched;
        const others = Object.entries(await everything()).filter(([path]) => !path.startsWith('target'));
        expect(Object.fromEntries(others)).toEqual(outside);
        expect((await readdir(folder)).sort()).toEqual(['outside', 'target']);
        await rm(join(target, 'data'), { recursive: true, force: true });
      }),
      { numRuns: 60 },
    );
  });
});

describe('names on Windows', () => {
  it.each([
    'data/..\\x',
    'data/C:x',
    'data/file:stream',
    'data/NUL',
    'data/com1.txt',
    'data/x.',
    'data/x ',
    'data\\x/y',
  ])('%s is refused', (name) => {
    expect(() => partsBelowRoot(name, true)).toThrow('unsafe archive');
  });
});
