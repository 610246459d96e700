import { describe, expect, it } from 'vitest';
import { type HostResource, resourcesOf } from '../../../agent/preparation/host-resources.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import { threadTime } from '../../support/thread-time.ts';

const links: Readonly<Record<string, string>> = {
  'D:\\DISKS~1\\DATA~1.VHD': 'D:\\disks of all\\data.vhdx',
  'E:\\junction\\data.vhdx': 'D:\\disks of all\\data.vhdx',
};
const of = (requested: RequestedOptions, bootFiles: readonly string[] = []) =>
  resourcesOf({ requested, bootFiles }, async (path) => links[path]);
const nameOf = async (requested: RequestedOptions) => (await of(requested)).map(({ name }: HostResource) => name);
const disk = (path: string, readOnly = false, name = 'data') => ({ name, path, readOnly });

describe('one resource has one name, however it is spelled', () => {
  it.each([
    '\\\\.\\pipe\\console-A',
    '\\\\.\\PIPE\\Console-a',
    '//./pipe/console-a',
    '\\\\?\\pipe\\console-a',
    '\\\\.\\pipe\\LOCAL\\console-a',
    '\\\\.\\pipe\\other\\..\\console-a',
    '\\\\.\\pipe\\.\\console-a. ',
    '\\\\localhost\\pipe\\console-a',
    '\\\\.\\GLOBALROOT\\Device\\NamedPipe\\console-a',
    '\\\\?\\GlobalRoot\\Device\\NamedPipe\\LOCAL\\console-a',
    '\\??\\pipe\\console-a',
  ])('the pipe %s', async (pipe) => {
    expect(await nameOf({ ConsolePipe: pipe })).toEqual(['console-a']);
  });

  it.each([
    'D:\\disks of all\\data.vhdx',
    'd:\\DISKS OF ALL\\Data.VHDX',
    'D:/disks of all//data.vhdx',
    'D:\\disks of all\\.\\x\\..\\data.vhdx',
    '\\\\?\\D:\\disks of all\\data.vhdx',
    '\\\\.\\D:\\disks of all\\data.vhdx. .',
    'D:\\disks of all.\\data.vhdx ',
    'D:\\DISKS~1\\DATA~1.VHD',
    'E:\\junction\\data.vhdx',
    'D:\\di\u017fks of all\\data.vhdx',
  ])('the disk %s', async (path) => {
    expect(await nameOf({ Disks: [disk(path)] })).toEqual(['d:\\disks of all\\data.vhdx']);
  });

  it('and different resources have different names', async () => {
    expect(await nameOf({ ConsolePipe: '\\\\.\\pipe\\a' })).not.toEqual(
      await nameOf({ ConsolePipe: '\\\\.\\pipe\\b' }),
    );
    expect(await nameOf({ ConsolePipe: '\\\\.\\pipe\\team\\a' })).toEqual(['team\\a']);
    expect(await nameOf({ ConsolePipe: '\\\\.\\pipe\\local' })).toEqual(['local']);
    expect(await nameOf({ Disks: [disk('D:\\a.vhdx')] })).not.toEqual(await nameOf({ Disks: [disk('E:\\a.vhdx')] }));
  });
});

it('naming a resource takes time in proportion to the length of the text', async () => {
  const started = threadTime();
  for (const part of ['. ', '\\', 'a\\', '..\\', 'LOCAL\\']) await of({ ConsolePipe: part.repeat(20_000) });
  expect(threadTime() - started).toBeLessThan(5_000);
});

describe('within one VM', () => {
  const twice = (first: boolean, second: boolean) => {
    const Disks = [disk('D:\\disks of all\\data.vhdx', first, 'a'), disk('E:\\junction\\data.vhdx', second, 'b')];
    return of({ Disks });
  };

  it.each([
    [false, false],
    [true, false],
    [false, true],
  ])('two disks that are one file are refused when one is writable: %s, %s', async (first, second) => {
    await expect(twice(first, second)).rejects.toMatchObject({
      reason: 'InvalidOptions',
      message: expect.stringContaining('storage.disks[b].path is the same file as storage.disks[a].path'),
    });
  });

  it('two read-only disks can be one file', async () => {
    expect(await twice(true, true)).toHaveLength(2);
  });

  it('a boot file can also be a read-only disk', async () => {
    const boots = ['C:\\boot\\rootfs.vhd'];
    await expect(of({ Disks: [disk('c:\\BOOT\\rootfs.vhd')] }, boots)).rejects.toMatchObject({
      reason: 'InvalidOptions',
    });
    expect(await of({ Disks: [disk('C:\\boot\\rootfs.vhd', true)] }, boots)).toHaveLength(2);
  });
});
