// Files and facts of a Windows host. A double answers the native calls.
import { chmod, mkdir, mkdtemp, readFile, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import koffi from 'koffi';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { HostTopology } from '../../../agent/windows/computecore/documents.ts';
import { LocalWindowsHost } from '../../../agent/windows/host.ts';
import { buildNumber } from '../../../agent/windows/host-facts.ts';
import { SystemMessages } from '../../../agent/windows/system-message.ts';
import { VmGroupAccess } from '../../../agent/windows/vm-group-access.ts';
import { hostFacts as factsSchema } from '../../../protocol/messages.ts';
import { buildDouble } from '../../support/doubles/build.ts';

let library: string;
let failNext: (call: string, code: number) => void;
let accessOf: (path: string) => string;
let allocated: () => number;
let folder: string;
let host: LocalWindowsHost;

const topology: HostTopology = {
  logicalProcessorCount: 12,
  processorsOfNode: new Map([
    [1, 4],
    [0, 8],
  ]),
};

function makeHost(read: () => Promise<HostTopology> = async () => topology): LocalWindowsHost {
  const libraries = { computecore: library, kernel32: library, advapi32: library, ws2_32: library };
  const environment = { ProgramFiles: join(folder, 'Program Files') };
  const program = join(folder, 'agent', 'lcow-agent.exe');
  return new LocalWindowsHost({ topology: read, isolation: ['SNP'], environment, program }, libraries);
}

beforeAll(async () => {
  library = await buildDouble('win32');
  const double = koffi.load(library);
  failNext = double.func('DoubleFail', 'void', ['str', 'uint32_t']);
  accessOf = double.func('DoubleAccessOf', 'str', ['str16']);
  allocated = double.func('DoubleAllocated', 'int', []);
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'host-'));
  host = makeHost();
});
afterEach(async () => {
  expect(allocated()).toBe(0);
  await rm(folder, { recursive: true, force: true });
});

describe('copies', () => {
  it('overwrite an existing file', async () => {
    const [from, to] = [join(folder, 'a.vhd'), join(folder, 'ü.vhd')];
    await writeFile(from, 'x'.repeat(200_000));
    await writeFile(to, 'y'.repeat(300_000));
    await host.copyFile(from, to);
    expect(await readFile(to, 'utf8')).toBe('x'.repeat(200_000));
  });

  it('fail with the cause and the message of Windows', async () => {
    const copy = () => host.copyFile(join(folder, 'none'), join(folder, 'b'));
    await expect(copy()).rejects.toMatchObject({ message: 'The system cannot find the file specified.', code: 2 });
    failNext('CopyFile2', 112);
    await expect(copy()).rejects.toThrow('There is not enough space on the disk.');
    failNext('CopyFile2', 1314);
    await expect(copy()).rejects.toThrow('Dem Client fehlt ein erforderliches Recht.');
    failNext('CopyFile2', 4711);
    await expect(copy()).rejects.toThrow('Win32 error 4711');
  });
});

describe('access of the group of all VMs', () => {
  it('is added to the existing access of a file or a folder', async () => {
    const file = join(folder, 'rootfs.vhd');
    await writeFile(file, '');
    await host.grantVmGroupAccess(file);
    expect(accessOf(file)).toBe('(owner)(10000000,0,S-1-5-83-0)');
    await host.grantVmGroupAccess(folder);
    expect(accessOf(folder)).toBe('(owner)(10000000,3,S-1-5-83-0)');
    const disk = join(folder, 'read-only.vhd');
    await writeFile(disk, '');
    await host.grantVmGroupAccess(disk, 'read');
    expect(accessOf(disk)).toBe('(owner)(80000000,0,S-1-5-83-0)');
  });

  it('has generic rights only', async () => {
    const access = new VmGroupAccess({ advapi32: library, kernel32: library }, new SystemMessages(library));
    for (const mask of [0, 1, 0x1f01ff, 0x1000_0001])
      await expect(access.grant(folder, mask)).rejects.toThrow(RangeError);
    const path = join(folder, 'read');
    await writeFile(path, '');
    await access.grant(path, 0x8000_0000);
    expect(accessOf(path)).toBe('(owner)(80000000,0,S-1-5-83-0)');
  });

  it('fails with the cause, and changes nothing', async () => {
    const file = join(folder, 'kernel.vmgs');
    await writeFile(file, '');
    for (const call of ['GetNamedSecurityInfoW', 'SetEntriesInAclW', 'SetNamedSecurityInfoW']) {
      failNext(call, 5);
      await expect(host.grantVmGroupAccess(file)).rejects.toThrow('Access is denied.');
      expect(allocated()).toBe(0);
    }
    expect(accessOf(file)).toBe('(owner)');
    await expect(host.grantVmGroupAccess(join(folder, 'none'))).rejects.toThrow('ENOENT');
  });
});

describe('the real path of a file', () => {
  const opened = (path: string) =>
    host.withFile(path, async ({ kind, path: finalPath, size, read }) => {
      const bytes = kind === 'file' ? await read(size - 3, 100) : undefined;
      return { kind, path: finalPath, size, bytes: bytes?.toString('latin1') };
    });

  it('has no links, and the file is read through the same handle', async () => {
    const real = await realpath(folder);
    const [file, link] = [join(folder, 'disk.vhd'), join(folder, 'link')];
    await writeFile(file, 'fixed disk');
    await symlink(folder, link);
    const expected = { kind: 'file', path: join(real, 'disk.vhd'), size: 10, bytes: 'isk' };
    expect(await opened(file)).toEqual(expected);
    expect(await opened(join(link, 'disk.vhd'))).toEqual(expected);
    expect(await opened(link)).toMatchObject({ kind: 'folder', path: real });
    expect(await opened(join(folder, 'none'))).toBeUndefined();
    expect(await opened(join(file, 'below'))).toBeUndefined();
  });

  it('is not returned when it changes in the meantime, or when the file cannot be opened', async () => {
    const link = join(folder, 'link');
    await writeFile(join(folder, 'a'), 'a');
    await writeFile(join(folder, 'b'), 'b');
    await symlink(join(folder, 'a'), link);
    let isTurning = true;
    const turning = (async () => {
      while (isTurning) {
        for (const name of ['b', 'a']) {
          await symlink(join(folder, name), `${link}.new`);
          await rename(`${link}.new`, link);
        }
      }
    })();
    for (let round = 0; round < 300; round += 1) {
      const answer = await host
        .withFile(link, async (file) => [file.path.at(-1), (await file.read(0, 1)).toString()])
        .catch((error: Error) => error.message);
      if (typeof answer === 'string') expect(answer).toContain('changed while it was being examined');
      else expect(answer?.[0]).toBe(answer?.[1]);
    }
    isTurning = false;
    await turning;
    await expect(opened('x'.repeat(10_000))).rejects.toThrow('ENAMETOOLONG');
  });
});

describe('files', () => {
  it('are distinguished from folders and missing paths', async () => {
    const file = join(folder, 'a');
    await writeFile(file, 'four');
    expect(await host.stat(file)).toEqual({ kind: 'file', size: 4 });
    expect(await host.stat(folder)).toEqual({ kind: 'folder' });
    expect(await host.stat(join(folder, 'none'))).toEqual({ kind: 'notFound' });
    expect(await host.stat(join(file, 'below'))).toEqual({ kind: 'notFound' });
    expect(await host.stat('x'.repeat(10_000))).toMatchObject({ kind: 'error' });
  });

  it('are read whole, within bounds', async () => {
    const file = join(folder, 'reference_info.cose');
    await writeFile(file, 'four');
    expect(await host.readFile(file, 4)).toEqual(Buffer.from('four'));
    await expect(host.readFile(file, 3)).rejects.toThrow(`${file} has 4 bytes, more than the 3 that are read`);
    expect(await host.readFile(join(folder, 'none'), 4)).toBeUndefined();
    await expect(host.readFile(folder, 1 << 20)).rejects.toThrow('EISDIR');
  });

  it('can be deleted more than once', async () => {
    const file = join(folder, 'a');
    await writeFile(file, '');
    await chmod(file, 0o400);
    await host.deleteFile(file);
    await host.deleteFile(file);
    expect(await host.stat(file)).toEqual({ kind: 'notFound' });
    await expect(host.deleteFile(folder)).rejects.toThrow();
  });
});

describe('facts', () => {
  it('are those that the operator gets', async () => {
    await mkdir(join(folder, 'agent', 'LinuxBootFiles'), { recursive: true });
    for (const name of ['vmlinux', 'initrd.img']) await writeFile(join(folder, 'agent', 'LinuxBootFiles', name), '');
    const facts = factsSchema.parse(await host.facts());
    expect(facts).toMatchObject({
      logicalProcessors: 12,
      isolation: ['SNP'],
      bootFiles: [{ path: join(folder, 'agent', 'LinuxBootFiles'), files: ['initrd.img', 'vmlinux'] }],
    });
    expect(facts.numaNodes.map(({ number, logicalProcessors }) => [number, logicalProcessors])).toEqual([
      [0, 8],
      [1, 4],
    ]);
  });

  it('fall back to the other boot folder, and to what is visible without HCS', async () => {
    const facts = await makeHost(() => Promise.reject(new Error('no HCS'))).facts();
    expect(facts.bootFiles).toEqual([{ path: join(folder, 'Program Files', 'Linux Containers'), files: [] }]);
    expect(facts.logicalProcessors).toBeGreaterThan(0);
    expect(facts.numaNodes).toHaveLength(1);
  });

  it('include the build of Windows', () => {
    expect(['10.0.20348', '10.0.26100', '6.1', '', '10.0.x'].map(buildNumber)).toEqual([20348, 26100, 0, 0, 0]);
  });
});
