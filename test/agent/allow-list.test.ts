import { describe, expect, it } from 'vitest';
import { type AllowList, requireAllowed } from '../../agent/allow-list.ts';
import type { RequestedOptions } from '../../protocol/options.ts';

const allowed: AllowList = {
  paths: ['C:\\LinuxBootFiles', 'D:\\disks\\'],
  pipes: ['\\\\.\\pipe\\lcow-*'],
  devices: ['PCIP\\VEN_10DE&DEV_20B5\\1'],
};
const disk = (path: string) => ({ Disks: [{ name: 'data', path, readOnly: true }] });
const device = (deviceInstanceID: string) => ({ AssignedDevices: [{ deviceInstanceID, virtualFunctionIndex: 0 }] });

describe('what a spec may name', () => {
  it.each<[string, RequestedOptions]>([
    ['nothing', {}],
    ['the folder itself', { BootFilesPath: 'C:\\LinuxBootFiles' }],
    ['a folder below', { BootFilesPath: 'c:\\linuxbootfiles\\vhd' }],
    ['with slashes', { BootFilesPath: 'C:/LinuxBootFiles/vhd/' }],
    ['a disk', disk('D:\\disks\\data.vhdx')],
    ['no pipe', { ConsolePipe: '' }],
    ['a pipe', { ConsolePipe: '\\\\.\\pipe\\LCOW-one' }],
    ['a device', device('pcip\\ven_10de&dev_20b5\\1')],
  ])('%s', (_, requested) => {
    expect(() => requireAllowed(requested, allowed)).not.toThrow();
  });

  it.each<[string, RequestedOptions, string]>([
    ['a sibling with the same beginning', { BootFilesPath: 'C:\\LinuxBootFiles2' }, 'boot.filesPath'],
    ['out by ..', { BootFilesPath: 'C:\\LinuxBootFiles\\..\\Windows' }, 'boot.filesPath'],
    ['out by .. and slashes', { BootFilesPath: 'C:/LinuxBootFiles/../Windows' }, 'boot.filesPath'],
    ['the device namespace', { BootFilesPath: '\\\\?\\C:\\LinuxBootFiles\\..\\Windows' }, 'boot.filesPath'],
    ['another drive', disk('C:\\Windows\\System32\\config\\SAM'), 'storage.disks[data].path'],
    ['a share', disk('\\\\server\\share\\data.vhdx'), 'storage.disks[data].path'],
    ['another pipe', { ConsolePipe: '\\\\.\\pipe\\docker_engine' }, '--allowed-pipe'],
    ['another device', device('PCIP\\VEN_10DE&DEV_20B5\\12'), '--allowed-device'],
  ])('not %s', (_, requested, words) => {
    expect(() => requireAllowed(requested, allowed)).toThrow(words);
  });
});
