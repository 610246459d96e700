// Random builder options, hosts and files for property tests: every group of options, with the values at which
// behaviour changes.
import * as fc from 'fast-check';
import type { FileFact, FileFacts, HostFacts } from '../../../agent/document/facts.ts';
import type { LinuxOptionChanges } from '../../../agent/document/options.ts';

const int32 = fc.oneof(fc.integer(), fc.constantFrom(0, -1, 1, 2, 2 ** 31 - 1, -(2 ** 31)));
const uint32 = fc.oneof(fc.nat({ max: 2 ** 32 - 1 }), fc.constantFrom(0, 1, 63, 64, 255, 2 ** 32 - 1));
const uint64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 1n, 1024n, 2n ** 53n, 2n ** 64n - 1n),
);
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom('', 'kernel', '"', '\\', '<&>', '\u2028'),
);
const name = fc.oneof({ weight: 4, arbitrary: fc.constantFrom('kernel', 'vmlinux', 'initrd.img', 'rootfs.vhd') }, text);

const service = fc.record({
  BindSecurityDescriptor: text,
  ConnectSecurityDescriptor: text,
  AllowWildcardBinds: fc.boolean(),
  Disabled: fc.boolean(),
});

/**
 * Without backslashes: once an object with the key `\` was parsed, V8 13.6 confuses an escaped key such as `\u2028` in
 * the same place with that key, and these properties parse the built documents.
 */
const serviceKey = fc.oneof(text, fc.constantFrom('7', '10', '0')).filter((key) => !key.includes('\\'));

const device = fc.record({ deviceInstanceID: text, virtualFunctionIndex: fc.nat({ max: 2 }) });

/** Most options stay unset: if all were random, hardly any build would produce a document. */
function seldom<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: 12, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
}

export const anyChanges: fc.Arbitrary<LinuxOptionChanges> = fc.record({
  Owner: seldom(text),
  MemorySizeInMB: seldom(uint64),
  LowMMIOGapInMB: seldom(uint64),
  HighMMIOBaseInMB: seldom(uint64),
  HighMMIOGapInMB: seldom(uint64),
  AllowOvercommit: seldom(fc.boolean()),
  EnableDeferredCommit: seldom(fc.boolean()),
  EnableColdDiscardHint: seldom(fc.boolean()),
  ProcessorCount: seldom(int32),
  ProcessorLimit: seldom(int32),
  ProcessorWeight: seldom(int32),
  StorageQoSIopsMaximum: seldom(int32),
  StorageQoSBandwidthMaximum: seldom(int32),
  CPUGroupID: seldom(text),
  ResourcePartitionID: seldom(text),
  ProcessDumpLocation: seldom(text),
  SCSIControllerCount: seldom(fc.nat({ max: 5 })),
  AdditionalHyperVConfig: seldom(fc.dictionary(serviceKey, service, { maxKeys: 4 })),
  MaxMemorySizePerNumaNode: seldom(uint64),
  MaxProcessorsPerNumaNode: seldom(uint32),
  PreferredPhysicalNumaNodes: seldom(fc.array(uint32, { maxLength: 3 })),
  NumaMappedPhysicalNodes: seldom(fc.array(uint32, { maxLength: 3 })),
  NumaProcessorCounts: seldom(fc.array(uint32, { maxLength: 3 })),
  NumaMemoryBlocksCounts: seldom(fc.array(uint64, { maxLength: 3 })),
  EnableGraphicsConsole: seldom(fc.boolean()),
  ConsolePipe: seldom(text),
  KernelFile: seldom(name),
  KernelDirect: seldom(fc.boolean()),
  RootFSFile: seldom(name),
  KernelBootOptions: seldom(text),
  ExecCommandLine: seldom(text),
  ForwardStdout: seldom(fc.boolean()),
  ForwardStderr: seldom(fc.boolean()),
  VPMemDeviceCount: seldom(fc.constantFrom(0, 1, 64, 129)),
  VPMemSizeBytes: seldom(fc.oneof(uint64, fc.constant(4096n))),
  VPMemNoMultiMapping: seldom(fc.boolean()),
  PreferredRootFSType: fc.constantFrom(undefined, undefined, 0, 1, 2, 2, 3),
  VPCIEnabled: seldom(fc.boolean()),
  DisableTimeSyncService: seldom(fc.boolean()),
  HclEnabled: seldom(fc.boolean()),
  ExtraVSockPorts: seldom(fc.array(uint32, { maxLength: 3 })),
  AssignedDevices: seldom(fc.array(device, { maxLength: 3 })),
  WritableOverlayDirs: seldom(fc.boolean()),
  GuestStateFilePath: seldom(text),
  SecurityPolicy: seldom(fc.oneof(text, fc.base64String({ maxLength: 16 }))),
  SecurityPolicyEnabled: fc.boolean(),
  BundleDirectory: seldom(text),
  DmVerityRootFsVhd: seldom(name),
  DmVerityMode: seldom(fc.boolean()),
  DmVerityCreateArgs: seldom(text),
});

export const anyHost: fc.Arbitrary<HostFacts> = fc.record({
  architecture: fc.constantFrom('amd64', 'arm64'),
  build: fc.constantFrom(17134, 17763, 18286, 18362, 19042, 20348, 20348, 26100, 26100),
  processors: fc.oneof(
    {
      weight: 9,
      arbitrary: fc.record({
        kind: fc.constant('known' as const),
        logicalProcessors: fc.oneof(fc.constant(16), uint32),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.constant({ kind: 'error' as const, message: 'wrong number of service properties present' }),
    },
  ),
});

const fact: fc.Arbitrary<FileFact> = fc.oneof(
  fc.record({ kind: fc.constant('file' as const), size: fc.constantFrom(0, 1, 4096, 2 ** 32, 2 ** 32 + 1) }),
  fc.constant<FileFact>({ kind: 'folder' }),
  fc.constant<FileFact>({ kind: 'error', message: 'Access is denied.' }),
);

/** Everything exists; its kind depends on the path alone. */
export const anyFiles: fc.Arbitrary<FileFacts> = fc.func(fact).map((stat) => ({ stat }));
