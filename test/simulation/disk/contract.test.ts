// The contract of `FileSystem`, for the file system of this machine and the simulated one.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FileHandle, FileSystem } from '../../../agent/node/file-system.ts';
import { nodeFileSystem } from '../../../agent/storage/file-system.ts';
import { diskBed } from './bed.ts';

type Body = (files: FileSystem, folder: string) => Promise<void>;

async function onThisComputer(body: Body): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'files-'));
  try {
    await body(nodeFileSystem, folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function onSimulatedDisk(body: Body): Promise<void> {
  await diskBed(1, { faults: { divided: 0.5, slow: 0.1 } }).use(async (files) => {
    await files.mkdir('/state');
    await body(files, '/state');
  });
}

async function put(files: FileSystem, path: string, text: string): Promise<void> {
  const file = await files.open(path, 'w');
  await file.writeFile(text);
  await file.close();
}

async function textAt(handle: FileHandle, position: number, length: number): Promise<string> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
  return buffer.toString('utf8', 0, bytesRead);
}

const namesIn = async (files: FileSystem, folder: string) =>
  (await files.readdir(folder)).map((entry) => `${entry.name}${entry.isDirectory() ? '/' : ''}`).sort();

const code = (name: string) => ({ code: name });

const contract: Readonly<Record<string, Body>> = {
  'creates a file, and empties one that is there': async (files, folder) => {
    const path = join(folder, 'a');
    await put(files, path, 'a longer text');
    await put(files, path, 'ä text');
    expect(await files.readFile(path)).toBe('ä text');
    await put(files, path, '');
    expect(await files.readFile(path)).toBe('');
  },
  'writes where the last write ended': async (files, folder) => {
    const file = await files.open(join(folder, 'a'), 'w');
    for (const text of ['one ', '', 'two ', 'three']) await file.writeFile(text);
    await file.sync();
    expect(await file.stat()).toMatchObject({ size: 13 });
    await file.close();
    expect(await files.readFile(join(folder, 'a'))).toBe('one two three');
  },
  'appends, and creates the file with the first line': async (files, folder) => {
    const path = join(folder, 'a');
    await files.appendFile(path, 'one\n');
    await files.appendFile(path, Buffer.from('twö\n'));
    expect(await files.readFile(path)).toBe('one\ntwö\n');
  },
  'reads at any position, and no more than there is': async (files, folder) => {
    const path = join(folder, 'a');
    await put(files, path, '0123456789');
    const file = await files.open(path, 'r');
    expect(await textAt(file, 3, 4)).toBe('3456');
    expect(await textAt(file, 8, 4)).toBe('89');
    expect(await textAt(file, 10, 4)).toBe('');
    expect(await textAt(file, 20, 4)).toBe('');
    const room = Buffer.from('.....');
    await file.read(room, 1, 3, 5);
    expect(room.toString()).toBe('.567.');
    await file.close();
  },
  'renames over an existing file': async (files, folder) => {
    await put(files, join(folder, 'new'), 'new');
    await put(files, join(folder, 'old'), 'old');
    await files.rename(join(folder, 'new'), join(folder, 'old'));
    expect(await files.readFile(join(folder, 'old'))).toBe('new');
    expect(await namesIn(files, folder)).toEqual(['old']);
    await files.syncFolder(folder);
  },
  'keeps a handle usable when its file is renamed, replaced or removed': async (files, folder) => {
    const path = join(folder, 'a');
    await put(files, path, 'old');
    const file = await files.open(path, 'r');
    await files.rename(path, `${path}.1`);
    await files.appendFile(`${path}.1`, ' and more');
    expect(await textAt(file, 0, 20)).toBe('old and more');
    await put(files, path, 'new');
    await files.rename(path, `${path}.1`);
    expect(await textAt(file, 0, 20)).toBe('old and more');
    await files.rm(`${path}.1`);
    expect(await textAt(file, 4, 3)).toBe('and');
    expect(await file.stat()).toMatchObject({ size: 12 });
    await file.close();
  },
  'shows an open reader what is appended': async (files, folder) => {
    const path = join(folder, 'a');
    await files.appendFile(path, 'one');
    const file = await files.open(path, 'r');
    await files.appendFile(path, 'two');
    expect(await textAt(file, 0, 20)).toBe('onetwo');
    await file.close();
  },
  'accepts nothing on a closed handle': async (files, folder) => {
    const file = await files.open(join(folder, 'a'), 'w');
    await file.close();
    await expect(file.stat()).rejects.toMatchObject(code('EBADF'));
    await expect(file.sync()).rejects.toMatchObject(code('EBADF'));
  },
  'creates folders with those on the way, and again': async (files, folder) => {
    const path = join(folder, 'a', 'b', 'c');
    await files.mkdir(path);
    await put(files, join(path, 'file'), '');
    await files.mkdir(path);
    await files.mkdir(join(path, 'folder'));
    expect(await namesIn(files, path)).toEqual(['file', 'folder/']);
    expect(await namesIn(files, folder)).toEqual(['a/']);
    await files.syncFolder(path);
  },
  'removes files and folders with everything in them, and what is missing': async (files, folder) => {
    await files.mkdir(join(folder, 'a', 'b'));
    for (const path of [join('a', 'b', 'one'), join('a', 'two'), 'three', 'four'])
      await put(files, join(folder, path), path);
    await files.rm(join(folder, 'a'));
    await files.rm(join(folder, 'three'));
    await files.rm(join(folder, 'missing', 'too'));
    expect(await namesIn(files, folder)).toEqual(['four']);
  },
  'fails with ENOENT for what is missing': async (files, folder) => {
    const missing = join(folder, 'no', 'file');
    const calls = [
      files.open(missing, 'r'),
      files.open(missing, 'w'),
      files.readFile(join(folder, 'missing')),
      files.appendFile(missing, 'text'),
      files.readdir(missing),
      files.rename(missing, join(folder, 'a')),
      files.rename(join(folder, 'missing'), join(folder, 'a')),
      files.syncFolder(missing),
    ];
    for (const { status, ...rest } of await Promise.allSettled(calls))
      expect({ status, ...rest }).toMatchObject({ status: 'rejected', reason: code('ENOENT') });
    expect(await namesIn(files, folder)).toEqual([]);
  },
  'fails where a file is in the place of a folder, or a folder of a file': async (files, folder) => {
    await put(files, join(folder, 'file'), '');
    await files.mkdir(join(folder, 'folder'));
    await expect(files.mkdir(join(folder, 'file'))).rejects.toMatchObject(code('EEXIST'));
    await expect(files.mkdir(join(folder, 'file', 'below'))).rejects.toMatchObject(code('ENOTDIR'));
    await expect(files.readdir(join(folder, 'file'))).rejects.toMatchObject(code('ENOTDIR'));
    await expect(files.appendFile(join(folder, 'folder'), 'text')).rejects.toMatchObject(code('EISDIR'));
    await expect(files.readFile(join(folder, 'folder'))).rejects.toMatchObject(code('EISDIR'));
  },
};

describe.each([
  ['of this computer', onThisComputer],
  ['of a simulated disk', onSimulatedDisk],
])('the file system %s', (_, on) => {
  it.each(Object.entries(contract))('%s', async (_name, body) => on(body));
});
