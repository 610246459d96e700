import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildDocument } from '../../../agent/document/build.ts';
import type { DefaultsHost } from '../../../agent/document/defaults.ts';
import type { FileFact, FileFacts } from '../../../agent/document/facts.ts';
import { linuxOptions, RootFsType } from '../../../agent/document/options.ts';
import { fillOptions, pathsToStat } from '../../../agent/preparation/requested-options.ts';
import { type RequestedOptions, requestedOptions } from '../../../protocol/options.ts';
import { SimulatedFiles } from '../../golden/simulated-files.ts';

const host: DefaultsHost = {
  architecture: 'amd64',
  build: 20348,
  visibleProcessors: 16,
  bootFolder: 'C:\\LinuxBootFiles',
  currentDirectory: 'C:\\',
};

const bothRoots = new SimulatedFiles({
  'C:\\LinuxBootFiles\\vmlinux': 1,
  'C:\\LinuxBootFiles\\kernel': 1,
  'C:\\LinuxBootFiles\\initrd.img': 1,
  'C:\\LinuxBootFiles\\rootfs.vhd': 4096,
  'D:\\boot\\kernel': 1,
  'D:\\boot\\initrd.img': 1,
});

function fill(requested: RequestedOptions, on: DefaultsHost = host) {
  return fillOptions({ id: 'vm', owner: 'lcow-agent', bundleDirectory: 'C:\\vms\\vm', requested }, on, bothRoots);
}

describe('options that reset each other', () => {
  it('keep what the probe of the default folder found', () => {
    expect(fill({}).options).toMatchObject({
      KernelFile: 'vmlinux',
      RootFSFile: 'rootfs.vhd',
      PreferredRootFSType: RootFsType.Vhd,
      BundleDirectory: 'C:\\vms\\vm',
    });
  });

  it('probe a requested folder from scratch', () => {
    expect(fill({ BootFilesPath: 'D:/boot/' }).options).toMatchObject({
      BootFilesPath: 'D:\\boot',
      KernelFile: 'kernel',
      RootFSFile: 'initrd.img',
      PreferredRootFSType: RootFsType.InitRd,
    });
  });

  it.each([
    { requested: { PreferredRootFSType: 'InitRd' }, file: 'initrd.img', type: RootFsType.InitRd },
    { requested: { PreferredRootFSType: 'VHD' }, file: 'rootfs.vhd', type: RootFsType.Vhd },
    { requested: { PreferredRootFSType: 'InitRd', RootFSFile: 'my.img' }, file: 'my.img', type: RootFsType.InitRd },
    { requested: { RootFSFile: 'my.vhd' }, file: 'my.vhd', type: RootFsType.Vhd },
  ] as const)('root of $requested', ({ requested, file, type }) => {
    expect(fill(requested).options).toMatchObject({ RootFSFile: file, PreferredRootFSType: type });
  });

  it('boot `kernel` by UEFI unless another name is given', () => {
    expect(fill({ KernelDirect: false }).options.KernelFile).toBe('kernel');
    expect(fill({ KernelDirect: false, KernelFile: 'mine' }).options.KernelFile).toBe('mine');
  });

  it('do not look for vmlinux where kernel-direct boot is off by default', () => {
    const { options } = fill({ KernelDirect: true }, { ...host, build: 17763 });
    expect(options).toMatchObject({ KernelDirect: true, KernelFile: 'kernel' });
  });

  it('back memory physically and drop VPMem when everything must be physical', () => {
    const { options } = fill({ FullyPhysicallyBacked: true, AllowOvercommit: true, VPMemDeviceCount: 8 });
    expect(options).toMatchObject({ AllowOvercommit: false, VPMemDeviceCount: 0, FullyPhysicallyBacked: true });
  });

  it('append extra arguments to whichever command line there is', () => {
    expect(fill({ LogLevel: 'debug', ExtraExecArgs: '-x 1' }).options.ExecCommandLine).toBe(
      '/bin/gcs -v4 -log-format json -loglevel debug -x 1',
    );
    expect(fill({ ExecCommandLine: '/bin/gcs', ExtraExecArgs: '-x' }).options.ExecCommandLine).toBe('/bin/gcs -x');
  });

  it('hold 64-bit sizes as bigints', () => {
    expect(fill({ MemorySizeInMB: 2048, NumaMemoryBlocksCounts: [5] }).options).toMatchObject({
      MemorySizeInMB: 2048n,
      NumaMemoryBlocksCounts: [5n],
    });
  });

  it('pass on options that the original does not have', () => {
    expect(fill({ ScrubLogs: false, TerminateOnAgentExit: false })).toMatchObject({
      scrubLogs: false,
      switches: { outliveAgent: true, writeResourcePartition: true },
    });
    expect(fill({})).toMatchObject({ scrubLogs: undefined, switches: { outliveAgent: false } });
  });
});

describe('a confidential VM', () => {
  const policy = { SecurityPolicy: 'YWxsb3dfYWxs', SecurityPolicyEnabled: true };

  it('overrides the options that its guest state file implies', () => {
    const { options } = fill({
      ...policy,
      AllowOvercommit: true,
      KernelBootOptions: 'x=y',
      PreferredRootFSType: 'VHD',
      RootFSFile: 'my.vhd',
    });
    expect(options).toMatchObject({
      VPMemDeviceCount: 0,
      GuestStateFilePath: 'kernel.vmgs',
      KernelBootOptions: '',
      AllowOvercommit: false,
      SecurityPolicyEnabled: true,
      PreferredRootFSType: RootFsType.None,
      RootFSFile: '',
      DmVerityRootFsVhd: 'rootfs.vhd',
      DmVerityMode: true,
      EnableScratchEncryption: true,
    });
  });

  it('prefers explicit confidential options', () => {
    const explicit = {
      GuestStateFilePath: 'my.vmgs',
      DmVerityRootFsVhd: 'my.vhd',
      DmVerityMode: false,
      HclEnabled: false,
      EnableScratchEncryption: false,
    };
    expect(fill({ ...policy, ...explicit }).options).toMatchObject(explicit);
  });

  it('is isolated even when its policy is missing', () => {
    expect(fill({ SecurityPolicyEnabled: true }).options).toMatchObject({ GuestStateFilePath: 'kernel.vmgs' });
  });

  it('keeps the ordinary document without isolation, but encrypts scratch space', () => {
    expect(fill({ SecurityPolicy: 'YQ==' }).options).toMatchObject({
      SecurityPolicyEnabled: false,
      EnableScratchEncryption: true,
      PreferredRootFSType: RootFsType.Vhd,
    });
  });
});

describe('every requested option', () => {
  /** Requested options that have no builder option of the same name. */
  const handledApart = new Set([
    ...['Disks', 'ExtraExecArgs', 'LogLevel', 'ScrubLogs', 'Shares', 'TerminateOnAgentExit'],
    ...['ProcessCommand', 'ProcessEnvironment', 'ProcessWorkingDirectory', 'ProcessGracePeriodSeconds'],
  ]);

  it('is an option of the builder or is handled separately', () => {
    const unknown = Object.keys(requestedOptions.shape).filter(
      (name) => !(name in linuxOptions.shape) && !handledApart.has(name),
    );
    expect(unknown).toEqual([]);
  });
});

describe('pathsToStat', () => {
  const name = fc.constantFrom('', 'kernel', 'a.vhd', 'sub/b', '..\\c', 'rootfs.vhd');
  const requested: fc.Arbitrary<RequestedOptions> = fc.record(
    {
      BootFilesPath: fc.constantFrom('D:\\boot', 'd:/x/../boot/', 'C:\\LinuxBootFiles', 'rel'),
      KernelFile: name,
      RootFSFile: name,
      KernelDirect: fc.boolean(),
      PreferredRootFSType: fc.constantFrom('InitRd', 'VHD'),
      SecurityPolicyEnabled: fc.boolean(),
      SecurityPolicy: fc.constant('YQ=='),
      GuestStateFilePath: name,
      DmVerityRootFsVhd: name,
      VPMemNoMultiMapping: fc.boolean(),
      VPMemDeviceCount: fc.constantFrom(0, 64),
    },
    { requiredKeys: [] },
  );
  const fact: fc.Arbitrary<FileFact> = fc.oneof(
    fc.record({ kind: fc.constant('file' as const), size: fc.nat() }),
    fc.constant<FileFact>({ kind: 'folder' }),
    fc.constant<FileFact>({ kind: 'notFound' }),
    fc.constant<FileFact>({ kind: 'error', message: 'Access is denied.' }),
  );

  it('names every path that defaulting and building look up', () => {
    const build = fc.constantFrom(17134, 20348, 26100);
    const architecture = fc.constantFrom('amd64' as const, 'arm64' as const);
    fc.assert(
      fc.property(requested, build, architecture, fc.infiniteStream(fact), (options, number, arch, facts) => {
        const on = { ...host, build: number, architecture: arch };
        const known = new Set(pathsToStat(options, on));
        const files: FileFacts = {
          stat(path) {
            expect(known).toContain(path);
            return facts.next().value;
          },
        };
        const machine = { id: 'vm', owner: 'o', bundleDirectory: 'C:\\vm', requested: options };
        buildDocument({
          ...fillOptions(machine, on, files),
          host: { architecture: arch, build: number, processors: { kind: 'known', logicalProcessors: 4 } },
          files,
          randomGuid: () => 'guid',
        });
      }),
      { numRuns: 2000 },
    );
  });
});
