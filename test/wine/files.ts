// File operations of the agent with the real calls of Windows under wine; `npm run test:wine` runs them. Wine stores no
// entries for foreign groups on disk, so access control lists are checked as they were set.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import koffi from 'koffi';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeFileSystem } from '../../agent/storage/file-system.ts';
import { acquireInstanceLock } from '../../agent/storage/instance-lock.ts';
import { FileJournal } from '../../agent/vm/journal.ts';
import { newRecord } from '../../agent/vm/record.ts';
import { openExclusively } from '../../agent/windows/exclusive-file.ts';
import { LocalWindowsHost } from '../../agent/windows/host.ts';
import { openPrivateFolder } from '../../agent/windows/private-folder.ts';
import { windowsStorage } from '../../agent/windows/state-storage.ts';
import { systemClock } from '../../runtime/clock.ts';
import '../support/wine/first-pipe-instance.ts';

const library = process.env['LCOW_WIN32'] ?? '';
const double = koffi.load(library);
const failNext: (call: string, code: number) => void = double.func('DoubleFail', 'void', ['str', 'uint32_t']);
const accessOf: (path: string) => string = double.func('DoubleAccessOf', 'str', ['str16']);
const ownedBy: (sid: string) => void = double.func('DoubleOwner', 'void', ['str']);
const allocated: () => number = double.func('DoubleAllocated', 'int', []);

/** Open modes and attributes that Node's own calls do not offer. */
const kernel32 = koffi.load('kernel32.dll');
const setAttributes: (path: string, attributes: number) => number = kernel32.func(
  '__stdcall',
  'SetFileAttributesW',
  'int',
  ['str16', 'uint32_t'],
);
const createFile: (path: string, access: number, share: number, ...rest: unknown[]) => number = kernel32.func(
  '__stdcall',
  'CreateFileW',
  'intptr_t',
  ['str16', 'uint32_t', 'uint32_t', 'void *', 'uint32_t', 'uint32_t', 'void *'],
);
const closeHandle: (handle: number) => number = kernel32.func('__stdcall', 'CloseHandle', 'int', ['intptr_t']);
const readOnly = 1;

const [shareNothing, shareRead] = [0, 1] as const;
type Share = typeof shareNothing | typeof shareRead;

/**
 * A handle like that of a virus scanner or a backup: nobody else can change, replace or delete the file. Nobody can read
 * it either if nothing is shared.
 */
function holdForReading(path: string, share: Share = shareRead): Disposable {
  const [genericRead, openExisting] = [0x8000_0000, 3];
  const handle = createFile(path, genericRead, share, null, openExisting, 0, null);
  if (handle === -1) throw new Error(`${path} cannot be opened`);
  return { [Symbol.dispose]: () => void closeHandle(handle) };
}

let folder: string;
let host: LocalWindowsHost;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'files-'));
  const topology = () => Promise.reject(new Error('no HCS'));
  const environment = { ProgramFiles: join(folder, 'Program Files') };
  host = new LocalWindowsHost(
    { topology, isolation: [], environment, program: process.argv0 },
    { computecore: '', kernel32: library, advapi32: library, ws2_32: '' },
  );
});
afterEach(async () => {
  expect(allocated()).toBe(0);
  await rm(folder, { recursive: true, force: true });
});

describe('copies', () => {
  it('are whole, and overwrite an existing file', async () => {
    const [from, to] = [join(folder, 'a.vhd'), join(folder, 'ü 磁盘.vhd')];
    await writeFile(from, 'x'.repeat(200_000));
    await writeFile(to, 'y'.repeat(300_000));
    await host.copyFile(from, to);
    expect(await readFile(to, 'utf8')).toBe('x'.repeat(200_000));
  });

  it('fail with the error number of the cause and the message of the system', async () => {
    const copy = (to = 'b') => host.copyFile(join(folder, 'none'), join(folder, to));
    await expect(copy()).rejects.toMatchObject({ code: 2, message: 'File not found.' });
    await writeFile(join(folder, 'none'), '');
    await expect(copy('no\\folder')).rejects.toMatchObject({ code: 3, message: 'Path not found.' });
    failNext('CopyFile2', 112);
    await expect(copy()).rejects.toMatchObject({ code: 112, message: 'Disk full.' });
    failNext('CopyFile2', 4711);
    await expect(copy()).rejects.toThrow('Win32 error 4711');
  });
});

describe('deletion', () => {
  it('succeeds when repeated, and for a read-only file', async () => {
    const file = join(folder, 'a');
    await writeFile(file, '');
    setAttributes(file, readOnly);
    await host.deleteFile(file);
    await host.deleteFile(file);
    await host.deleteFile(join(folder, 'no', 'folder'));
    expect(await host.stat(file)).toEqual({ kind: 'notFound' });
    await expect(host.deleteFile(folder)).rejects.toThrow();
  });
});

describe('access of the group of all VMs', () => {
  it('is added to the existing access of a file or a folder', async () => {
    const [kernel, disk, below] = ['kernel.vmgs', 'read-only.vhd', 'folder'].map((name) => join(folder, name));
    if (kernel === undefined || disk === undefined || below === undefined) throw new Error('no names');
    await writeFile(kernel, '');
    await writeFile(disk, '');
    await mkdir(below);
    await host.grantVmGroupAccess(kernel);
    await host.grantVmGroupAccess(disk, 'read');
    await host.grantVmGroupAccess(below);
    expect(accessOf(kernel)).toMatch(/\(A;;GA;;;S-1-5-83-0\)/);
    expect(accessOf(disk)).toMatch(/\(A;;GR;;;S-1-5-83-0\)/);
    expect(accessOf(below)).toMatch(/\(A;OICI;GA;;;S-1-5-83-0\)/);
    for (const path of [kernel, disk, below])
      expect(accessOf(path).replace(/\([^()]*;S-1-5-83-0\)/, '')).toMatch(/^D:.*\(A;.*;.*;;;(?!S-1-5-83)[^)]+\)/);
  });

  it('fails with the cause, and changes nothing', async () => {
    const file = join(folder, 'kernel.vmgs');
    await writeFile(file, '');
    for (const call of ['GetNamedSecurityInfoW', 'SetEntriesInAclW', 'SetNamedSecurityInfoW']) {
      failNext(call, 5);
      await expect(host.grantVmGroupAccess(file)).rejects.toMatchObject({ code: 5, message: 'Access denied.' });
    }
    expect(accessOf(file)).toBe('');
    await expect(host.grantVmGroupAccess(join(folder, 'none'))).rejects.toThrow('ENOENT');
  });
});

describe('a private folder', () => {
  const libraries = { computecore: '', kernel32: library, advapi32: library, ws2_32: '' };
  const open = (path: string) => openPrivateFolder(path, libraries);
  const nobodyElse = /^D:P\(A;OICI;FA;;;SY\)\(A;OICI;FA;;;BA\)\(A;OICI;FA;;;S-1-5-21-[\d-]+\)$/;

  it('is created for SYSTEM, Administrators and this account', async () => {
    const path = join(folder, 'no', 'parents', 'state');
    await open(path);
    expect(accessOf(path)).toMatch(nobodyElse);
    await writeFile(join(path, 'a'), 'b');
  });

  it('loses the access of everybody else if it exists already', async () => {
    const path = join(folder, 'state');
    await mkdir(path);
    await writeFile(join(path, 'a'), 'b');
    for (const owner of ['S-1-5-18', 'S-1-5-32-544', '']) {
      ownedBy(owner);
      await open(path);
      expect(accessOf(path)).toMatch(nobodyElse);
    }
    expect(await readFile(join(path, 'a'), 'utf8')).toBe('b');
  });

  it('is refused when it belongs to another account, or is not a folder', async () => {
    const path = join(folder, 'state');
    await mkdir(path);
    ownedBy('S-1-5-21-1-2-3-1001');
    await expect(open(path)).rejects.toThrow('belongs to S-1-5-21-1-2-3-1001');
    expect(accessOf(path)).toBe('');
    await writeFile(join(folder, 'file'), '');
    await expect(open(join(folder, 'file'))).rejects.toThrow('is not a folder');
  });

  it('fails with the cause', async () => {
    failNext('CreateDirectoryW', 5);
    await expect(open(join(folder, 'state'))).rejects.toMatchObject({ code: 5 });
    await mkdir(join(folder, 'state'));
    for (const call of ['GetNamedSecurityInfoW', 'SetNamedSecurityInfoW']) {
      failNext(call, 5);
      await expect(open(join(folder, 'state'))).rejects.toMatchObject({ code: 5 });
    }
  });
});

describe('the host', () => {
  it('is a Server 2025 with its boot files in the default folder', async () => {
    const files = join(folder, 'Program Files', 'Linux Containers');
    await mkdir(files, { recursive: true });
    for (const name of ['vmlinux', 'initrd.img']) await writeFile(join(files, name), '');
    const facts = await host.facts();
    expect(facts).toMatchObject({ osBuild: 26100, architecture: 'amd64' });
    expect(facts.bootFiles).toEqual([{ path: files, files: ['initrd.img', 'vmlinux'] }]);
  });

  it('distinguishes files, folders and missing paths', async () => {
    const file = join(folder, 'a');
    await writeFile(file, 'four');
    expect(await host.stat(file)).toEqual({ kind: 'file', size: 4 });
    expect(await host.stat(folder)).toEqual({ kind: 'folder' });
    for (const nothing of ['none', 'a\\below', 'no\\folder'])
      expect(await host.stat(join(folder, nothing))).toEqual({ kind: 'notFound' });
  });
});

describe('the journal', () => {
  const record = (uid: string, restarts = 0) => ({ ...newRecord(uid, randomUUID()), restarts });

  it('replaces a record that somebody is reading', async () => {
    const journal = new FileJournal(nodeFileSystem, folder);
    const uid = randomUUID();
    await journal.write(record(uid));
    const file = join(folder, 'vms', uid, 'vm.json');
    const scanner = holdForReading(file);
    const written = journal.write(record(uid, 1));
    await sleep(150);
    scanner[Symbol.dispose]();
    await written;
    const { records, quarantined } = await new FileJournal(nodeFileSystem, folder).load();
    expect(records.map(({ restarts }) => restarts)).toEqual([1]);
    expect(quarantined).toEqual([]);
  });

  it('reads a record that another program holds open exclusively for a moment', async () => {
    const journal = new FileJournal(nodeFileSystem, folder);
    const uid = randomUUID();
    await journal.write(record(uid));
    const scanner = holdForReading(join(folder, 'vms', uid, 'vm.json'), shareNothing);
    const loaded = new FileJournal(nodeFileSystem, folder).load();
    await sleep(150);
    scanner[Symbol.dispose]();
    const { records, quarantined } = await loaded;
    expect(records.map((each) => each.uid)).toEqual([uid]);
    expect(quarantined).toEqual([]);
  });

  it('keeps the older record when the newer one cannot replace it within two seconds', async () => {
    const journal = new FileJournal(nodeFileSystem, folder);
    const uid = randomUUID();
    await journal.write(record(uid));
    using _ = holdForReading(join(folder, 'vms', uid, 'vm.json'));
    await expect(journal.write(record(uid, 1))).rejects.toMatchObject({ code: 'EPERM' });
    expect((await new FileJournal(nodeFileSystem, folder).load()).records.map(({ restarts }) => restarts)).toEqual([0]);
  });

  it('removes the folder of a VM with read-only copies in it', async () => {
    const journal = new FileJournal(nodeFileSystem, folder);
    const uid = randomUUID();
    await journal.write(record(uid));
    const copy = join(folder, 'vms', uid, 'kernel');
    await writeFile(copy, '');
    setAttributes(copy, readOnly);
    await journal.remove(uid);
    expect(await readdir(join(folder, 'vms'))).toEqual([]);
  });

  it('removes the folder of a VM when somebody is reading one of its files', async () => {
    const journal = new FileJournal(nodeFileSystem, folder);
    const uid = randomUUID();
    await journal.write(record(uid));
    const scanner = holdForReading(join(folder, 'vms', uid, 'vm.json'));
    const removed = journal.remove(uid);
    await sleep(150);
    scanner[Symbol.dispose]();
    await removed;
    expect(await readdir(join(folder, 'vms'))).toEqual([]);
  });

  it('quarantines a torn record', async () => {
    const uid = randomUUID();
    await mkdir(join(folder, 'vms', uid), { recursive: true });
    await writeFile(join(folder, 'vms', uid, 'vm.json'), '{');
    const { quarantined } = await new FileJournal(nodeFileSystem, folder).load();
    expect(quarantined.map((each) => each.uid)).toEqual([uid]);
    expect(await readdir(join(folder, 'vms', uid))).toEqual(['vm.json.quarantined']);
  });
});

describe('the lock of an agent', () => {
  const silent = pino({ level: 'silent' });
  const libraries = { computecore: '', kernel32: library, advapi32: library, ws2_32: '' };
  const lock = (state: string, stop: AbortSignal) =>
    acquireInstanceLock(
      windowsStorage.locks(join(folder, state), () => {}),
      systemClock,
      silent,
      stop,
    );
  /** A process that holds the lock until it is killed. */
  const holder = async (state: string) => {
    const child = spawn(
      process.execPath,
      [fileURLToPath(import.meta.resolve('./lock-holder.ts')), join(folder, state)],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    await once(child.stdout, 'data');
    return child;
  };
  const isSettled = async (promise: Promise<unknown>) => {
    await sleep(1_500);
    return (await Promise.race([promise.then(() => true), Promise.resolve(false)])) === true;
  };

  beforeEach(() => mkdir(join(folder, 'state')));

  it.each(['state', 'other'])('keeps a second agent of the node waiting, with its state in %s', async (state) => {
    await mkdir(join(folder, 'other'));
    const stop = new AbortController();
    const first = await lock('state', stop.signal);
    const second = lock(state, stop.signal);
    expect(await isSettled(second)).toBe(false);
    first.release();
    (await second).release();
  });

  it('is taken by the next agent when its holder is killed', async () => {
    const first = await holder('state');
    const second = lock('state', new AbortController().signal);
    expect(await isSettled(second)).toBe(false);
    first.kill('SIGKILL');
    (await second).release();
  });

  it('is not held by a waiting agent that gives up', async () => {
    const first = await lock('state', new AbortController().signal);
    await expect(lock('state', AbortSignal.timeout(100))).rejects.toThrow();
    first.release();
    (await lock('state', AbortSignal.timeout(20_000))).release();
  });

  it('is a file that no other user can have created', async () => {
    const file = join(folder, 'state', 'agent.lock');
    await writeFile(file, '');
    ownedBy('S-1-5-21-1-2-3-1001');
    expect(() => openExclusively(file, libraries)).toThrow('belongs to S-1-5-21-1-2-3-1001');
    // This also holds while that user has it open; otherwise the wait would have no end.
    using _ = holdForReading(file);
    ownedBy('S-1-5-21-1-2-3-1001');
    expect(() => openExclusively(file, libraries)).toThrow('belongs to S-1-5-21-1-2-3-1001');
    expect(openExclusively(file, libraries)).toBeUndefined();
  });
});
