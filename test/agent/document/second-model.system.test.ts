// A second, deliberately naive model of details that are easy to get subtly wrong. It was written from
// docs/reference/hcs-documents.md alone, and the builder must agree with it for any options.
import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildDocument } from '../../../agent/document/build.ts';
import { defaultOptions } from '../../../agent/document/defaults.ts';
import type { FileFacts, HostFacts } from '../../../agent/document/facts.ts';
import { changeOptions, type LinuxOptionChanges, type LinuxOptions } from '../../../agent/document/options.ts';
import type { BuildOutcome } from '../../../agent/document/outcome.ts';
import { cleanPath, joinPath } from '../../../agent/document/windows-paths.ts';
import { anyChanges, anyFiles, anyHost } from '../../support/agent/arbitrary-options.ts';

const place = { visibleProcessors: 4, bootFolder: 'C:\\LinuxBootFiles', currentDirectory: 'C:\\' };
const oneFile: FileFacts = { stat: () => ({ kind: 'file', size: 4096 }) };

interface Built {
  readonly options: LinuxOptions;
  readonly outcome: BuildOutcome;
}

function build(host: HostFacts, files: FileFacts, changes: LinuxOptionChanges, scrubLogs?: boolean): Built {
  const options = changeOptions(defaultOptions({ id: 'vm', owner: 'o' }, { ...host, ...place }, files), changes);
  return { options, outcome: buildDocument({ options, host, files, randomGuid: () => 'guid', scrubLogs }) };
}

function textOf({ outcome }: Built): string | undefined {
  return outcome.result.kind === 'document' ? outcome.result.text : undefined;
}

/** §6.8 to §6.11 as one list of words, each with the condition under which it appears. */
function commandLine(options: LinuxOptions, host: HostFacts, scrubLogs: boolean): string {
  const vhd = options.PreferredRootFSType === 1;
  const vpmem = options.VPMemDeviceCount > 0;
  const arm = host.architecture === 'arm64';
  const debugging = options.ConsolePipe !== '' || options.EnableGraphicsConsole;
  const ifTrue = (condition: boolean, words: string) => (condition ? words : '');
  const command = [
    '/bin/vsockexec',
    ifTrue(options.ForwardStdout, ' -o 109'),
    ifTrue(options.ForwardStderr, ' -e 109'),
    ` ${options.ExecCommandLine}`,
    ifTrue(options.DisableTimeSyncService, ' -disable-time-sync'),
    ifTrue(scrubLogs, ' -scrub-logs'),
    ifTrue(options.ProcessDumpLocation !== '', ` -core-dump-location ${options.ProcessDumpLocation}`),
  ].join('');
  return [
    ifTrue(options.PreferredRootFSType === 0 && !options.KernelDirect, `initrd=/${options.RootFSFile}`),
    ifTrue(vhd && vpmem, 'root=/dev/pmem0 ro rootwait init=/init'),
    ifTrue(vhd && !vpmem, 'root=/dev/sda ro rootwait init=/init'),
    ' initcall_blacklist=virtio_vsock_init',
    ifTrue(!arm && options.ConsolePipe === '', ' 8250_core.nr_uarts=0'),
    ifTrue(!arm && options.ConsolePipe !== '', ' 8250_core.nr_uarts=1 8250_core.skip_txen_test=1 console=ttyS0,115200'),
    ifTrue(arm && options.ConsolePipe !== '', ' console=ttyAMA0,115200'),
    ifTrue(options.EnableGraphicsConsole, ' console=tty'),
    ifTrue(!debugging, ' panic=-1 quiet'),
    ifTrue(options.KernelBootOptions !== '', ` ${options.KernelBootOptions}`),
    ifTrue(!options.VPCIEnabled, ' pci=off'),
    ` nr_cpus=${options.ProcessorCount} brd.rd_nr=0 pmtmr=0 -- -e 1`,
    ifTrue(options.WritableOverlayDirs && vhd, ' -w'),
    debugging ? ` sh -c "${command} & exec sh"` : ` ${command}`,
  ].join('');
}

describe('the builder agrees with a naive model about', () => {
  it('the kernel command line', () => {
    fc.assert(
      fc.property(anyHost, anyFiles, anyChanges, fc.boolean(), (host, files, changes, scrub) => {
        const built = build(host, files, { ...changes, DmVerityMode: false }, scrub ? true : undefined);
        const { result } = built.outcome;
        if (result.kind === 'document' && !built.options.SecurityPolicyEnabled) {
          const { LinuxKernelDirect, Uefi } = result.document.VirtualMachine.Chipset;
          const line = LinuxKernelDirect?.KernelCmdLine ?? Uefi?.BootThis?.OptionalData;
          expect(line).toBe(commandLine(built.options, host, scrub));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('memory and processor numbers', () => {
    const unsigned = (value: number) => BigInt.asUintN(64, BigInt(value));
    fc.assert(
      fc.property(anyHost, anyFiles, anyChanges, (host, files, changes) => {
        const built = build(host, files, changes);
        const text = textOf(built);
        if (text === undefined || host.processors.kind === 'error') return;
        const { options } = built;
        const available = Number(BigInt.asIntN(32, BigInt(host.processors.logicalProcessors)));
        const expected = {
          SizeInMB: BigInt.asUintN(64, options.MemorySizeInMB + (options.MemorySizeInMB % 2n)),
          Count: BigInt.asUintN(32, BigInt(Math.min(options.ProcessorCount, available))),
          Limit: unsigned(options.ProcessorLimit),
          Weight: unsigned(options.ProcessorWeight),
        };
        const topology = /"ComputeTopology":\{"Memory":\{(.*?)\},"Processor":\{(.*?)[}\]]/.exec(text)?.slice(1).join();
        for (const [name, value] of Object.entries(expected)) {
          const written = new RegExp(`"${name}":(\\d+)`).exec(topology ?? '')?.[1];
          expect(written).toBe(value === 0n ? undefined : value.toString());
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('the service table of an SNP VM', () => {
    const host: HostFacts = {
      architecture: 'amd64',
      build: 20348,
      processors: { kind: 'known', logicalProcessors: 16 },
    };
    const port = fc.oneof(fc.constantFrom(0, 1, 109, 0x4000_0000, 0xffff_ffff), fc.nat());
    const key = fc.constantFrom(
      '0000006d-facb-11e6-bd58-64006a7986d3',
      '0000006D-FACB-11E6',
      'é',
      '\u{1f600}',
      '\uffee',
      '7',
      '',
    );
    fc.assert(
      fc.property(fc.array(port), fc.array(key), (ports, keys) => {
        const standard =
          '{"BindSecurityDescriptor":"D:P(A;;FA;;;WD)","ConnectSecurityDescriptor":"D:P(A;;FA;;;SY)(A;;FA;;;BA)","AllowWildcardBinds":true}';
        const table = new Map<string, string>(keys.map((name) => [name, '{"Disabled":true}']));
        for (const number of [1, 109, 0x4000_0000, 0x4000_0001, ...ports]) {
          const digits = `0000000${number.toString(16)}`.slice(-8);
          table.set(`${digits}-facb-11e6-bd58-64006a7986d3`, standard);
        }
        const sorted = [...table].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        const changes = {
          SecurityPolicyEnabled: true,
          PreferredRootFSType: 2,
          VPMemDeviceCount: 0,
          ExtraVSockPorts: ports,
          AdditionalHyperVConfig: Object.fromEntries(keys.map((name) => [name, { Disabled: true }])),
        };
        expect(textOf(build(host, oneFile, changes))).toContain(
          `"ServiceTable":{${sorted.map(([name, service]) => `"${name}":${service}`).join()}}`,
        );
      }),
      { numRuns: 500 },
    );
  });

  it('LaunchData', () => {
    const host: HostFacts = {
      architecture: 'amd64',
      build: 20348,
      processors: { kind: 'known', logicalProcessors: 1 },
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (policy) => {
        const changes = {
          SecurityPolicyEnabled: true,
          PreferredRootFSType: 2,
          SecurityPolicy: Buffer.from(policy).toString('base64'),
        };
        const digest = createHash('sha256').update(policy).digest('base64');
        expect(textOf(build(host, oneFile, changes))).toContain(`"LaunchData":"${digest}"`);
      }),
    );
  });
});

/** Cleans a path name by name, as one would do on paper. It handles only paths with a drive. */
function naiveClean(path: string): string {
  const drive = path.slice(0, 2);
  const rest = path.slice(2).replaceAll('/', '\\');
  const rooted = rest.startsWith('\\');
  let names: string[] = [];
  for (const name of rest.split('\\')) {
    if (name === '..' && names.length > 0 && names.at(-1) !== '..') names = names.slice(0, -1);
    else if (name === '..' && !rooted) names = [...names, name];
    else if (name !== '' && name !== '.' && name !== '..') names = [...names, name];
  }
  const cleaned = names.join('\\');
  return drive + (rooted ? `\\${cleaned}` : cleaned || '.');
}

describe('paths with a drive', () => {
  const name = fc.constantFrom('a', 'B', '.', '..', '...', '.x', 'x.', 'a b', 'é', 'c:d');
  const separator = fc.constantFrom('\\', '/', '\\\\', '\\/');
  const path = fc.array(fc.tuple(separator, name), { maxLength: 6 }).map((parts) => `C:${parts.flat().join('')}`);

  it('are cleaned as the naive model cleans them', () => {
    fc.assert(
      fc.property(path, fc.constantFrom('', '\\', '/'), (start, end) => {
        expect(cleanPath(start + end)).toBe(naiveClean(start + end));
      }),
      { numRuns: 5000 },
    );
  });

  it('are joined with a name as if the name were appended', () => {
    fc.assert(
      fc.property(path, name, (folder, file) => {
        const expected = folder === 'C:' ? `C:${file}` : `${folder}\\${file}`;
        expect(joinPath(folder, file)).toBe(naiveClean(expected));
      }),
      { numRuns: 5000 },
    );
  });
});
