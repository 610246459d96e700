// Which names of host resources a manifest can use, judged by their spelling alone.
import { describe, expect, it } from 'vitest';
import { allowList } from '../../../../agent/preparation/allow-list.ts';
import { type NameScope, refusalOfNames } from '../../../../agent/preparation/paths/host-names.ts';
import { rulesFor } from '../../../../agent/preparation/paths/path-rules.ts';
import { foldCase } from '../../../../agent/preparation/paths/windows-names.ts';
import { type RequestedOptions, requestedOptions } from '../../../../protocol/options.ts';
import { oddFileNames, oddPaths, ordinaryPaths } from '../../../support/agent/odd-spellings.ts';

const bootFolder = 'C:\\LinuxBootFiles';
const closed = ['C:\\ProgramData\\lcow', 'C:\\hpc'];

interface Flags {
  readonly paths?: readonly string[];
  readonly pipes?: readonly string[];
  readonly devices?: readonly string[];
}

function scope({ devices = [], paths = [], pipes = [] }: Flags = {}, namespace = 'team-a'): NameScope {
  const allowed = allowList({ paths, pipes, devices });
  return { ...allowed, namespace, policy: { rules: rulesFor(namespace, allowed.paths), bootFolder, closed } };
}

const refusal = (requested: RequestedOptions, flags?: Flags) => refusalOfNames(requested, scope(flags))?.message;
const disk = (path: string, readOnly = false): RequestedOptions => ({ Disks: [{ name: 'data', path, readOnly }] });
const device = (deviceInstanceID: string) => ({ AssignedDevices: [{ deviceInstanceID, virtualFunctionIndex: 0 }] });
const image = `${bootFolder}\\rootfs.vhd`;

describe('a disk', () => {
  it('is allowed below an allowed folder, and nowhere without one', () => {
    expect(refusal(disk('D:\\disks\\x.vhdx'))).toContain('--allowed-path');
    expect(refusal(disk(image, true))).toContain('--allowed-path');
    expect(refusal(disk('D:\\disks\\x.vhdx'), { paths: ['D:\\disks'] })).toBeUndefined();
    expect(refusal(disk('d:/DISKS/sub/x.vhdx'), { paths: ['D:\\disks\\'] })).toBeUndefined();
    expect(refusal(disk('D:\\disks2\\x.vhdx'), { paths: ['D:\\disks'] })).toContain('--allowed-path');
    expect(refusal(disk('D:\\x.vhdx'), { paths: ['D:\\'] })).toBeUndefined();
    expect(refusal(disk('C:\\x.vhdx'), { paths: ['D:\\'] })).toContain('--allowed-path');
  });

  it('is read-only where the longest matching rule says so', () => {
    const paths = ['D:\\disks', 'D:\\disks\\golden:ro', 'D:\\disks\\golden\\scratch'];
    const golden = 'D:\\disks\\golden\\x.vhdx';
    expect(refusal(disk(golden, true), { paths })).toBeUndefined();
    expect(refusal(disk(golden), { paths })).toContain('set readOnly to true');
    expect(refusal(disk(golden), { paths: paths.toReversed() })).toContain('set readOnly to true');
    expect(refusal(disk('D:\\disks\\golden\\scratch\\x.vhdx'), { paths })).toBeUndefined();
    expect(refusal(disk('D:\\disks\\x.vhdx'), { paths })).toBeUndefined();
    expect(refusal(disk('D:\\a\\x.vhdx'), { paths: ['D:\\a', 'D:\\a:ro'] })).toContain('set readOnly to true');
  });

  it('of the boot folder is read-only, and allowed only where a rule says so', () => {
    expect(refusal(disk(image), { paths: ['C:\\'] })).toContain('boot files');
    expect(refusal(disk(image), { paths: [bootFolder] })).toContain('boot files');
    expect(refusal(disk('c:\\LINUXBOOTFILES\\vhd\\rootfs.vhd'), { paths: ['C:\\'] })).toContain('boot files');
    expect(refusal(disk(image, true), { paths: ['C:\\'] })).toBeUndefined();
    expect(refusal(disk('C:\\LinuxBootFiles2\\x.vhdx'), { paths: ['C:\\'] })).toBeUndefined();
  });

  it.each([
    'C:\\ProgramData\\lcow\\vms\\0\\rootfs.vhd',
    'c:\\programdata\\LCOW\\vms',
    'C:\\ProgramData',
    'C:\\hpc\\var\\run\\secrets\\lcow-operator\\token',
  ])('is refused if it is the agent’s own: %s', (path) => {
    for (const readOnly of [true, false]) {
      expect(refusal(disk(path, readOnly), { paths: ['C:\\'] })).toContain('no manifest may name');
    }
  });

  it('of another namespace is refused by {namespace}', () => {
    const paths = ['D:\\disks\\{namespace}', 'E:\\x\\{namespace}\\golden:ro'];
    expect(refusal(disk('D:\\disks\\team-a\\x.vhdx'), { paths })).toBeUndefined();
    for (const other of ['team-b', 'team-a2', 'team', '{namespace}', 'team-a.x']) {
      expect(refusal(disk(`D:\\disks\\${other}\\x.vhdx`), { paths })).toContain('--allowed-path');
    }
    expect(refusal(disk('E:\\x\\TEAM-A\\golden\\x.vhdx', true), { paths })).toBeUndefined();
    expect(refusal(disk('E:\\x\\team-a\\x.vhdx', true), { paths })).toContain('--allowed-path');
  });

  it('that is refused gets no information about others', () => {
    const paths = ['D:\\disks\\team-b', 'E:\\secret-project:ro'];
    const said = refusal(disk('D:\\mine.vhdx'), { paths });
    expect(said).toContain('storage.disks[data].path: D:\\mine.vhdx');
    expect(said).not.toMatch(/team-b|secret/);
  });
});

describe('a share', () => {
  const share = (path: string, readOnly = false): RequestedOptions => ({
    Shares: [{ name: 'work', path, readOnly, guestPath: '/mnt/work' }],
  });

  it('is allowed where a disk is', () => {
    expect(refusal(share('D:\\x'))).toContain('fileShares.shares[work].path: D:\\x is not below a folder');
    for (const path of ['D:\\x', 'd:/X/y']) expect(refusal(share(path), { paths: ['D:\\x'] })).toBeUndefined();
    expect(refusal(share('D:\\x'), { paths: ['D:\\x:ro'] })).toContain('for reading only');
    expect(refusal(share('D:\\x', true), { paths: ['D:\\x:ro'] })).toBeUndefined();
    expect(refusal(share('D:\\team-b'), { paths: ['D:\\{namespace}'] })).toContain('--allowed-path');
  });

  it('is not writable if a folder below it is read-only', () => {
    const paths = ['D:\\', 'D:\\a\\golden:ro', 'D:\\{namespace}\\base:ro'];
    for (const path of ['D:\\', 'D:\\a', 'D:\\team-a']) {
      expect(refusal(share(path), { paths })).toContain('contains a folder that the agent allows for reading only');
      expect(refusal(share(path, true), { paths })).toBeUndefined();
    }
    expect(refusal(share('D:\\team-b'), { paths })).toBeUndefined();
  });

  it.each([bootFolder, 'C:\\', `${bootFolder}\\sub`])('is not writable with boot files: %s', (path) => {
    expect(refusal(share(path), { paths: ['C:\\'] })).toBeDefined();
  });

  it.each([...closed, 'C:\\', 'C:\\ProgramData', ...oddPaths])('is refused in any spelling: %s', (path) => {
    expect(refusal(share(path, true), { paths: ['C:\\'] })).toBeDefined();
  });

  it('is never mounted over, above or below another mount', () => {
    const at = (guestPath: string, mountPath?: string): RequestedOptions => ({
      Shares: [
        { name: 'a', path: 'D:\\a', readOnly: true, guestPath: '/mnt/a' },
        { name: 'b', path: 'D:\\b', readOnly: true, guestPath },
      ],
      Disks: [{ name: 'd', path: 'D:\\d.vhdx', readOnly: true, ...(mountPath !== undefined && { mountPath }) }],
    });
    const paths = ['D:\\'];
    expect(refusal(at('/mnt/b'), { paths })).toBeUndefined();
    for (const path of ['/mnt', '/mnt/a', '/mnt/a/b']) expect(refusal(at(path), { paths })).toContain('of share a');
    for (const path of ['/mnt/b', '/mnt/b/c', '/mnt/b/c/d']) {
      expect(refusal(at(path, '/mnt/b/c'), { paths })).toContain('of disk d');
    }
    for (const path of ['/', '/etc', '/run', 'mnt', '/mnt/../etc']) {
      expect(refusal(at(path), { paths })).toContain(`fileShares.shares[b].guestPath: ${path} must`);
    }
  });
});

describe('boot files', () => {
  it.each<[string, RequestedOptions, Flags]>([
    ['from the default folder', {}, {}],
    ['from the boot folder', { BootFilesPath: bootFolder }, {}],
    ['from a folder below it', { BootFilesPath: 'c:/linuxbootfiles/vhd/' }, {}],
    ['from a folder that is allowed for reading', { BootFilesPath: 'D:\\boot' }, { paths: ['D:\\boot:ro'] }],
    ['with ordinary names', { KernelFile: 'vmlinux-6.6', RootFSFile: 'my root.img' }, {}],
  ])('are allowed %s', (_, requested, flags) => {
    expect(refusal(requested, flags)).toBeUndefined();
  });

  it.each<[string, Flags, string]>([
    ['C:\\Windows', {}, 'boot.filesPath'],
    ['C:\\LinuxBootFiles2', {}, 'boot.filesPath'],
    ['C:\\LinuxBootFiles\\..\\Windows', {}, 'boot.filesPath'],
    ['C:\\ProgramData\\lcow\\vms\\0', { paths: ['C:\\'] }, 'no manifest may name'],
    ['C:\\', { paths: ['C:\\'] }, 'no manifest may name'],
    ['D:\\disks\\team-b', { paths: ['D:\\disks\\{namespace}'] }, '--allowed-path'],
  ])('are refused from %s', (path, flags, words) => {
    expect(refusal({ BootFilesPath: path }, flags)).toContain(words);
  });

  const fileNames = [
    'KernelFile',
    'RootFSFile',
    'GuestStateFilePath',
    'DmVerityRootFsVhd',
    'UVMReferenceInfoFile',
    'UVMHashEnvelopeReferenceInfoFile',
  ] as const;
  it.each(fileNames)('have no odd name in %s', (option) => {
    const passed = ['', ...oddFileNames].filter((name) => refusal({ [option]: name }) === undefined);
    expect(passed).toEqual([]);
  });
});

it.each(['vm.json', 'VM.JSON.new', 'guest.log.1', 'document.json', 'rootfs.vhd', 'VM~1.JSO', 'docume~2.jso'])(
  'a guest state file never replaces a file of the agent: %s',
  (name) => {
    expect(refusal({ GuestStateFilePath: name })).toContain('confidential.guestStateFile');
    expect(refusal({ GuestStateFilePath: 'kernel.vmgs', DmVerityRootFsVhd: 'rootfs.vhd' })).toBeUndefined();
  },
);

it('a path with an odd spelling is refused', () => {
  const flags = { paths: ['C:\\'] };
  expect(oddPaths.filter((path) => refusal(disk(path), flags) === undefined)).toEqual([]);
  expect(oddPaths.filter((path) => refusal({ BootFilesPath: path }, flags) === undefined)).toEqual([]);
  expect(refusal(disk('C:\\disks\\\ud800.vhdx'), flags)).toContain('well-formed');
  expect(ordinaryPaths.filter((path) => refusal(disk(path), flags) !== undefined)).toEqual([]);
});

it('paths are compared by the letter case rules of NTFS', () => {
  expect(foldCase('äßx\u0161')).toBe('ÄßX\u0160');
  // NTFS treats none of these as an ASCII letter.
  const flags = { paths: ['D:\\disks'] };
  for (const path of ['D:\\dis\u212as\\x.vhdx', 'D:\\di\u017fks\\x.vhdx', 'D:\\d\u0131sks\\x.vhdx']) {
    expect(refusal(disk(path), flags)).toContain('--allowed-path');
  }
  expect(refusal(disk('D:\\DISKS\\x.vhdx'), { paths: ['D:\\dis\u212as'] })).toContain('--allowed-path');
});

describe('a console pipe', () => {
  const pipe = (name: string) => ({ ConsolePipe: `\\\\.\\pipe\\${name}` });

  it('is allowed if a flag names it', () => {
    expect(refusal({ ConsolePipe: '' })).toBeUndefined();
    expect(refusal(pipe('x'))).toContain('--allowed-pipe');
    expect(refusal(pipe('LCOW-one'), { pipes: ['\\\\.\\pipe\\lcow-*'] })).toBeUndefined();
    expect(refusal(pipe('docker_engine'), { pipes: ['\\\\.\\pipe\\lcow-*'] })).toContain('--allowed-pipe');
    expect(refusal(pipe('anything'), { pipes: ['*'] })).toBeUndefined();
  });

  it.each(['\\\\.\\pipe\\{namespace}_*', '\\\\.\\pipe\\{namespace}.*', '\\\\.\\pipe\\lcow-{namespace}\\*'])(
    'belongs to its namespace with the pattern %s',
    (pattern) => {
      const nameOf = (namespace: string) => pattern.slice(9).replace('{namespace}', namespace).replace('*', 'x');
      expect(refusal(pipe(nameOf('team-a')), { pipes: [pattern] })).toBeUndefined();
      for (const other of ['team-b', 'team-a-b', 'team', 'team-a_x']) {
        const name = nameOf(other);
        const isOwn = name.startsWith(nameOf('team-a').slice(0, -1));
        expect(refusal(pipe(name), { pipes: [pattern] }) === undefined).toBe(isOwn);
      }
    },
  );

  it.each([
    '\\\\.\\pipe\\..\\C:\\x',
    '\\\\.\\pipe\\..',
    '\\\\.\\pipe\\team-a_x\\..\\team-b_x',
    '\\\\.\\pipe\\x.',
    '\\\\.\\pipe\\x ',
    '\\\\.\\pipe\\',
    '\\\\.\\pipe\\\\x',
    '\\\\.\\pipe/x',
    '\\\\.\\C:',
    '\\\\server\\pipe\\x',
    '\\\\?\\pipe\\x',
    '//./pipe/x',
    'x',
    '\\\\.\\pipe\\LOCAL\\x',
    '\\\\.\\pipe\\local\\team-b\\x',
    '\\\\.\\PIPE\\ProtectedPrefix\\Administrators\\lcow-agent',
    '\\\\.\\pipe\\protectedprefix\\LocalService\\x',
  ])('is refused with the name %s', (name) => {
    expect(refusal({ ConsolePipe: name }, { pipes: ['*'] })).toContain('console.pipe');
  });
});

it('a device is allowed if a flag names it', () => {
  const devices = ['PCIP\\VEN_10DE&DEV_20B5\\1'];
  expect(refusal(device('pcip\\ven_10de&dev_20b5\\1'), { devices })).toBeUndefined();
  expect(refusalOfNames(device('PCIP\\VEN_10DE&DEV_20B5\\12'), scope({ devices }))).toMatchObject({
    reason: 'DeviceNotAllowed',
    message: expect.stringContaining('--allowed-device'),
  });
});

/** Options whose text names something only in the guest, or names nothing. */
const noNames: ReadonlySet<string> = new Set([
  ...['KernelBootOptions', 'ExecCommandLine', 'ExtraExecArgs', 'DmVerityCreateArgs', 'ProcessDumpLocation'],
  ...['SecurityPolicy', 'SecurityPolicyEnforcer', 'CPUGroupID', 'ResourcePartitionID', 'ProcessWorkingDirectory'],
]);

it('every text option has a rule, or is known to name nothing on the host', () => {
  const outside = 'C:\\Windows\\..\\x';
  const texts = Object.keys(requestedOptions.shape).filter(
    (option) => requestedOptions.safeParse({ [option]: outside }).success,
  );
  expect(texts.length).toBeGreaterThan(noNames.size);
  const passed = texts.filter(
    (option) => refusal({ [option]: outside }, { paths: ['C:\\'], pipes: ['*'] }) === undefined,
  );
  expect(new Set(passed)).toEqual(noNames);
});

describe('a pattern with which the agent does not start', () => {
  it.each([
    ['disks', String.raw`D:\disks`],
    ['D:', String.raw`D:\disks`],
    ['\\\\server\\share', 'no share'],
    ['\\\\?\\D:\\disks', 'no device'],
    ['D:\\disks:rw', ':ro'],
    ['D:\\disks:RO', ':ro'],
    ['D:\\disks\\*', '*'],
    ['D:\\disks\\..\\x', '..'],
    ['D:\\disks\\x.', 'dot or space'],
    ['D:\\nul', 'device'],
    ['D:\\disks\\x{namespace}', 'whole segment'],
    ['D:\\disks\\{namespace}-x:ro', 'whole segment'],
    ['D:\\disks\\{Namespace}', '{namespace}'],
    ['D:\\disks\\{name}', '{namespace}'],
    ['', String.raw`D:\disks`],
    [':ro', String.raw`D:\disks`],
  ])('--allowed-path %s', (pattern, words) => {
    expect(() => allowList({ paths: [pattern], pipes: [], devices: [] })).toThrow(words);
  });

  it.each([
    ['console-*', '\\\\.\\pipe\\'],
    ['', '\\\\.\\pipe\\'],
    ['\\\\.\\pipe\\*x', 'last character'],
    ['\\\\.\\pipe\\{namespace}', 'followed by'],
    ['\\\\.\\pipe\\{namespace}*', 'followed by'],
    ['\\\\.\\pipe\\{namespace}-*', 'followed by'],
    ['\\\\.\\pipe\\{namespace}_{namespace}', 'followed by'],
    ['\\\\.\\pipe\\{name}_*', '{namespace}'],
  ])('--allowed-pipe %s', (pattern, words) => {
    expect(() => allowList({ paths: [], pipes: [pattern], devices: [] })).toThrow(words);
  });
});
