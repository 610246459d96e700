// Where the agent's documents go beyond the reference revision of the original, and cases that the golden data cannot
// contain.
import { describe, expect, it } from 'vitest';
import { buildDocument } from '../../../agent/document/build.ts';
import type { DocumentSwitches } from '../../../agent/document/build-context.ts';
import { defaultOptions } from '../../../agent/document/defaults.ts';
import type { FileFacts, HostFacts } from '../../../agent/document/facts.ts';
import { changeOptions, type LinuxOptionChanges } from '../../../agent/document/options.ts';
import type { BuildOutcome } from '../../../agent/document/outcome.ts';

const host: HostFacts = {
  architecture: 'amd64',
  build: 20348,
  processors: { kind: 'known', logicalProcessors: 16 },
};
const files: FileFacts = { stat: () => ({ kind: 'file', size: 4096 }) };

function built(
  changes: LinuxOptionChanges,
  switches: DocumentSwitches = {},
  scrubLogs?: boolean,
  on: HostFacts = host,
): BuildOutcome {
  const place = { visibleProcessors: 4, bootFolder: 'C:\\LinuxBootFiles', currentDirectory: 'C:\\' };
  const defaults = defaultOptions({ id: 'vm', owner: 'o' }, { ...on, ...place }, files);
  const options = changeOptions(defaults, changes);
  return buildDocument({ options, host: on, files, randomGuid: () => 'guid', scrubLogs, switches });
}

function text(...of: Parameters<typeof built>): string {
  const { result } = built(...of);
  return result.kind === 'document' ? result.text : result.message;
}

describe('switches', () => {
  const id = 'ABCDEF00-1111-2222-3333-444455556666';

  it('append the resource partition as the last member of the machine', () => {
    expect(text({ ResourcePartitionID: id })).not.toContain('ResourcePartitionId');
    expect(text({ ResourcePartitionID: id }, { writeResourcePartition: true })).toContain(
      '"ResourcePartitionId":"abcdef00-1111-2222-3333-444455556666"},"ShouldTerminateOnLastHandleClosed"',
    );
    expect(text({ ResourcePartitionID: 'x' }, { writeResourcePartition: true })).toBe('invalid GUID "x"');
  });

  it('let a VM outlive its agent, and make its guest relay', () => {
    const outliving = text({}, { outliveAgent: true });
    expect(outliving).not.toContain('ShouldTerminateOnLastHandleClosed');
    expect(outliving).toContain('/bin/vsockexec -r -e 109 ');
  });

  it('distinguish three kinds of log scrubbing', () => {
    expect(text({}, {}, true)).toContain('-loglevel info -scrub-logs"');
    expect(text({}, {}, false)).toContain('-loglevel info -scrub-logs=false"');
    expect(text({})).toContain('-loglevel info"');
  });
});

describe('a kernel command line that the kernel parses differently than intended', () => {
  const codes = (changes: LinuxOptionChanges) => built(changes).warnings.map(({ code }) => code);
  const console = { ConsolePipe: String.raw`\\.\pipe\c` };
  const length = (options: string) =>
    Buffer.byteLength(/"KernelCmdLine":"((?:[^"\\]|\\.)*)"/.exec(text({ KernelBootOptions: options }))?.[1] ?? '');
  const room = 2_047 - length('x') + 1;

  it('is reported when its end, which starts the guest agent, is cut off', () => {
    expect(length('x'.repeat(room))).toBe(2_047);
    expect(codes({ KernelBootOptions: 'x'.repeat(room) })).toEqual([]);
    expect(codes({ KernelBootOptions: `${'é'.repeat(room / 2)}xx` })).toEqual(['KernelCommandLineCut']);
    const [warning] = built({ KernelBootOptions: 'x'.repeat(room + 1) }).warnings;
    expect(warning?.message).toContain('2048 bytes');
    expect(text({ KernelBootOptions: 'x'.repeat(3_000) })).toContain(`${'x'.repeat(3_000)} pci=off`);
  });

  it.each<LinuxOptionChanges>([
    { KernelBootOptions: 'quiet -- debug' },
    { KernelBootOptions: '--' },
    { KernelBootOptions: 'a "--"' },
    { KernelBootOptions: 'dyndbg="file a.c' },
    { ExecCommandLine: '/bin/gcs -- -v4' },
    { ProcessDumpLocation: '-- /tmp' },
    { ...console, ExecCommandLine: '/bin/gcs -x "a b"' },
  ])('is reported when init gets other arguments: %j', (changes) => {
    expect(codes(changes)).toEqual(['KernelCommandLineMisread']);
  });

  it('is reported when init gets more arguments than the kernel takes', () => {
    // -e 1 /bin/vsockexec -e 109, and the command.
    const command = (words: number) => ['/bin/gcs', ...Array.from({ length: words - 6 }, () => 'x')].join(' ');
    expect(codes({ ExecCommandLine: command(32) })).toEqual([]);
    expect(codes({ ExecCommandLine: command(33) })).toEqual(['TooManyInitArguments']);
    const [warning] = built({ ExecCommandLine: command(40) }).warnings;
    expect(warning?.message).toContain('40 arguments for init');
    // A shell gets its whole command as one argument.
    expect(codes({ ...console, ExecCommandLine: command(40) })).toEqual([]);
  });

  it.each<LinuxOptionChanges>([
    {},
    console,
    { KernelBootOptions: '--x y-- a--b dyndbg="a -- b"' },
    { ExecCommandLine: '/bin/gcs "a -- b" -v4' },
    { ...console, ExecCommandLine: '/bin/gcs -- -v4' },
  ])('is not reported when the kernel reads what is meant: %j', (changes) => {
    expect(codes(changes)).toEqual([]);
  });
});

describe('cases that the golden data does not contain', () => {
  it('a VHD root without a controller is an error; the original crashes', () => {
    const old = { ...host, build: 17134 };
    const changes = { PreferredRootFSType: 1, VPMemDeviceCount: 0, SCSIControllerCount: 0 };
    expect(text(changes, {}, undefined, old)).toBe('a VHD root file system needs a VPMem device or a SCSI controller');
  });

  it('service table keys that look like numbers keep byte order', () => {
    const AdditionalHyperVConfig = { 9: { Disabled: true }, 10: {}, '': {}, a: {} };
    expect(text({ AdditionalHyperVConfig })).toContain('"ServiceTable":{"":{},"10":{},"9":{"Disabled":true},"a":{}}');
  });
});
