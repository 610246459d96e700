// Compares the conversion of requested options with the original's conversion of annotations
// (docs/reference/hcs-documents.md §9.3). Both are the same steps in the same order. Only cases that a manifest can
// express are compared: a manifest has no values that cannot be parsed, and where an annotation moves away from the
// default boot folder, the manifest's boot folder stands in for the default one.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { fillOptions } from '../../../agent/preparation/requested-options.ts';
import { requestedOptions } from '../../../protocol/options.ts';
import { parseExact } from '../../golden/exact-json.ts';
import { SimulatedFiles } from '../../golden/simulated-files.ts';

const annotationCase = z.object({
  name: z.string(),
  host: z.object({
    arch: z.enum(['amd64', 'arm64']),
    build: z.int(),
    logicalProcessors: z.int(),
    visibleProcessors: z.int().optional(),
  }),
  files: z.record(z.string(), z.int()),
  spec: z.object({ annotations: z.record(z.string(), z.string()).default({}), windows: z.unknown().optional() }),
  runtimeOptions: z.unknown().optional(),
  expect: z.object({ options: z.record(z.string(), z.unknown()).optional() }),
});

/** The option for each annotation, without the annotation's prefix. */
const options: Readonly<Record<string, keyof typeof requestedOptions.shape>> = {
  'computetopology.memory.allowovercommit': 'AllowOvercommit',
  'computetopology.memory.enablecolddiscardhint': 'EnableColdDiscardHint',
  'computetopology.memory.enabledeferredcommit': 'EnableDeferredCommit',
  'computetopology.memory.highmmiobaseinmb': 'HighMMIOBaseInMB',
  'computetopology.memory.highmmiogapinmb': 'HighMMIOGapInMB',
  'computetopology.memory.lowmmiogapinmb': 'LowMMIOGapInMB',
  'computetopology.memory.sizeinmb': 'MemorySizeInMB',
  'computetopology.numa.count-of-memory-blocks': 'NumaMemoryBlocksCounts',
  'computetopology.numa.count-of-processors': 'NumaProcessorCounts',
  'computetopology.numa.mapped-physical-nodes': 'NumaMappedPhysicalNodes',
  'computetopology.numa.preferred-physical-nodes': 'PreferredPhysicalNumaNodes',
  'computetopology.processor.count': 'ProcessorCount',
  'computetopology.processor.limit': 'ProcessorLimit',
  'computetopology.processor.numa.max-processors-per-node': 'MaxProcessorsPerNumaNode',
  'computetopology.processor.numa.max-size-per-node': 'MaxMemorySizePerNumaNode',
  'computetopology.processor.weight': 'ProcessorWeight',
  'console.pipe': 'ConsolePipe',
  'cpugroup.id': 'CPUGroupID',
  'devices.virtualpmem.maximumcount': 'VPMemDeviceCount',
  'devices.virtualpmem.maximumsizebytes': 'VPMemSizeBytes',
  'fileshares.disablewritable': 'NoWritableFileShares',
  fullyphysicallybacked: 'FullyPhysicallyBacked',
  'lcow.dmverity-create-args': 'DmVerityCreateArgs',
  'lcow.dmverity-mode': 'DmVerityMode',
  'lcow.dmverity-rootfs-vhd': 'DmVerityRootFsVhd',
  'lcow.enforcer': 'SecurityPolicyEnforcer',
  'lcow.extra-vsock-ports': 'ExtraVSockPorts',
  'lcow.gueststatefile': 'GuestStateFilePath',
  'lcow.hcl-enabled': 'HclEnabled',
  'lcow.kernelbootoptions': 'KernelBootOptions',
  'lcow.kerneldirectboot': 'KernelDirect',
  'lcow.network.policybasedrouting': 'PolicyBasedRouting',
  'lcow.preferredrootfstype': 'PreferredRootFSType',
  'lcow.securitypolicy': 'SecurityPolicy',
  'lcow.timesync.disable': 'DisableTimeSyncService',
  'lcow.uvm-reference-info-file': 'UVMReferenceInfoFile',
  'lcow.vpcienabled': 'VPCIEnabled',
  'lcow.vpmem.nomultimapping': 'VPMemNoMultiMapping',
  'lcow.writable-overlay-directories': 'WritableOverlayDirs',
  'storage.scratch.encrypted': 'EnableScratchEncryption',
  'storageqos.bandwidthmaximum': 'StorageQoSBandwidthMaximum',
  'storageqos.iopsmaximum': 'StorageQoSIopsMaximum',
};

/** The options that a manifest would request; undefined where a manifest cannot express them. */
function requestedOf(annotations: Readonly<Record<string, string>>) {
  const requested: Record<string, unknown> = {};
  const { 'io.microsoft.virtualmachine.no_security_hardware': noHardware, ...others } = annotations;
  for (const [key, text] of Object.entries(others)) {
    const option = options[key.replace(/^io\.microsoft\.virtualmachine\./, '')];
    // In an annotation a memory size of 0 means "not set". A manifest cannot say that.
    if (option === undefined || (option === 'MemorySizeInMB' && text === '0')) return undefined;
    requested[option] = valuesOf(text).find((value) => requestedOptions.shape[option].safeParse(value).success);
    if (requested[option] === undefined) return undefined;
  }
  const isolated = (requested['SecurityPolicy'] ?? '') !== '' && noHardware !== 'true';
  return requestedOptions.parse({ ...requested, ...(isolated && { SecurityPolicyEnabled: true }) });
}

/** Every value that the text can stand for; the option's type selects one. */
function valuesOf(text: string): unknown[] {
  const booleans = new Map([
    ['true', true],
    ['false', false],
  ]);
  const types = new Map([
    ['initrd', 'InitRd'],
    ['vhd', 'VHD'],
  ]);
  const numbers = /^\d+(,\d+)*$/.test(text) ? text.split(',').map(Number) : [];
  return [booleans.get(text), numbers.length === 1 ? numbers[0] : undefined, numbers, types.get(text), text].filter(
    (value) => value !== undefined && (!Array.isArray(value) || value.length > 0),
  );
}

const text = readFileSync(new URL('../../golden/annotations.json', import.meta.url), 'utf8');
const cases = z
  .array(annotationCase)
  .parse(parseExact(text))
  .flatMap(({ name, host, files, spec, runtimeOptions, expect: { options: expected } }) => {
    const requested = requestedOf(spec.annotations);
    const other = spec.windows !== undefined || runtimeOptions !== undefined || expected === undefined;
    return requested === undefined || other ? [] : [{ name, host, files, requested, expected }];
  });

describe('requested options become the same options as annotations', () => {
  it('in most cases of the golden file', () => {
    expect(cases.length).toBeGreaterThan(60);
  });

  it.each(cases)('$name', ({ host, files, requested, expected }) => {
    const { options: filled } = fillOptions(
      { id: 'vm-1', owner: 'containerd-shim-runhcs-v1.exe', bundleDirectory: '', requested },
      {
        architecture: host.arch,
        build: host.build,
        visibleProcessors: host.visibleProcessors ?? host.logicalProcessors,
        bootFolder: 'C:\\LinuxBootFiles',
        currentDirectory: 'C:\\',
      },
      new SimulatedFiles(files),
    );
    const plain = Object.entries(filled).map(([name, value]) => [
      name,
      typeof value === 'bigint' ? Number(value) : value,
    ]);
    const given = Object.fromEntries(plain);
    for (const [name, value] of Object.entries(expected)) {
      if (name === 'NumaMemoryBlocksCounts') expect(filled[name].map(Number)).toEqual(value);
      else expect({ [name]: given[name] ?? null }).toEqual({ [name]: value });
    }
  });
});
