import { describe, expect, test } from 'vitest';
import { type Field, fieldsOf, openApiSchema } from '../../crds/custom-resource-definition.ts';
import { type LinuxUtilityVMManifestSpec, linuxUtilityVM, linuxUtilityVMSpec } from '../../crds/linux-utility-vm.ts';
import { isObject } from '../../crds/structural.ts';
import { fromSpec, operatorFields, type References, requestedOptions } from '../../protocol/options.ts';

function options(spec: LinuxUtilityVMManifestSpec, references?: References) {
  return fromSpec(linuxUtilityVMSpec.parse(spec), references);
}

/** Every option, each with a value of its own. One manifest could not have them all. */
const everything: LinuxUtilityVMManifestSpec = {
  terminateOnAgentExit: false,
  memory: {
    sizeInMB: 2048,
    allowOvercommit: true,
    fullyPhysicallyBacked: false,
    enableDeferredCommit: true,
    enableColdDiscardHint: true,
    lowMMIOGapInMB: 1,
    highMMIOBaseInMB: 2,
    highMMIOGapInMB: 3,
  },
  processor: { count: 4, limit: 5, weight: 6, cpuGroupID: 'group' },
  numa: {
    maxProcessorsPerNode: 7,
    maxMemoryPerNodeInMB: 8,
    preferredPhysicalNodes: [9],
    nodes: [
      { physicalNode: 10, processors: 11, memoryInMB: 12 },
      { physicalNode: 13, processors: 14, memoryInMB: 15 },
    ],
  },
  boot: {
    filesPath: 'C:\\boot',
    kernelFile: 'kernel',
    rootFSFile: 'root',
    rootFSType: 'VHD',
    kernelDirect: false,
    kernelOptions: 'a=b',
    execCommandLine: '/bin/gcs',
    extraExecArgs: '-x',
    writableOverlayDirs: true,
    dmVerityMode: true,
    dmVerityCreateArgs: 'args',
  },
  storage: {
    scsiControllerCount: 2,
    vpmem: { deviceCount: 16, deviceSizeInBytes: 4096, multiMapping: false },
    qos: { iopsMaximum: 17, bandwidthMaximum: 18 },
    disks: [
      { name: 'a', path: 'C:\\a.vhdx', readOnly: true, mountPath: '/a' },
      { name: 'b', path: 'C:\\b.vhdx', filesystem: 'ext4', ensureFilesystem: true },
    ],
  },
  devices: { vpciEnabled: true, assigned: [{ instanceID: 'PCIP\\A', virtualFunction: 19 }, { instanceID: 'PCIP\\B' }] },
  console: { pipe: '\\\\.\\pipe\\a', graphics: true },
  hvSocket: {
    serviceTable: {
      '0000006d-facb-11e6-bd58-64006a7986d3': {
        bindSecurityDescriptor: 'bind',
        connectSecurityDescriptor: 'connect',
        allowWildcardBinds: true,
        disabled: false,
      },
      '40000000-facb-11e6-bd58-64006a7986d3': {},
    },
    extraVsockPorts: [20],
  },
  guest: {
    useConnection: true,
    forwardStdout: true,
    forwardStderr: false,
    disableTimeSync: true,
    policyBasedRouting: true,
    logLevel: 'debug',
    processDumpLocation: '/dumps',
    scrubLogs: false,
  },
  fileShares: {
    disableWritable: true,
    shares: [{ name: 's', path: 'C:\\s', readOnly: true, guestPath: '/s' }],
  },
  process: {
    command: ['/bin/job', '--fast'],
    env: [{ name: 'A', value: 'b=c' }],
    workingDirectory: '/work',
    gracePeriodSeconds: 5,
  },
  resourcePartitionID: 'partition',
};

test('a spec becomes options under the names of the original', () => {
  expect(options(everything)).toEqual({
    MemorySizeInMB: 2048,
    AllowOvercommit: true,
    FullyPhysicallyBacked: false,
    EnableDeferredCommit: true,
    EnableColdDiscardHint: true,
    LowMMIOGapInMB: 1,
    HighMMIOBaseInMB: 2,
    HighMMIOGapInMB: 3,
    ProcessorCount: 4,
    ProcessorLimit: 5,
    ProcessorWeight: 6,
    CPUGroupID: 'group',
    ResourcePartitionID: 'partition',
    MaxProcessorsPerNumaNode: 7,
    MaxMemorySizePerNumaNode: 8,
    PreferredPhysicalNumaNodes: [9],
    NumaMappedPhysicalNodes: [10, 13],
    NumaProcessorCounts: [11, 14],
    NumaMemoryBlocksCounts: [12, 15],
    BootFilesPath: 'C:\\boot',
    KernelFile: 'kernel',
    RootFSFile: 'root',
    PreferredRootFSType: 'VHD',
    KernelDirect: false,
    KernelBootOptions: 'a=b',
    ExecCommandLine: '/bin/gcs',
    ExtraExecArgs: '-x',
    WritableOverlayDirs: true,
    DmVerityMode: true,
    DmVerityCreateArgs: 'args',
    SCSIControllerCount: 2,
    VPMemDeviceCount: 16,
    VPMemSizeBytes: 4096,
    VPMemNoMultiMapping: true,
    StorageQoSIopsMaximum: 17,
    StorageQoSBandwidthMaximum: 18,
    Disks: [
      { name: 'a', path: 'C:\\a.vhdx', readOnly: true, mountPath: '/a' },
      { name: 'b', path: 'C:\\b.vhdx', readOnly: false, filesystem: 'ext4', ensureFilesystem: true },
    ],
    AssignedDevices: [
      { deviceInstanceID: 'PCIP\\A', virtualFunctionIndex: 19 },
      { deviceInstanceID: 'PCIP\\B', virtualFunctionIndex: 0 },
    ],
    VPCIEnabled: true,
    ConsolePipe: '\\\\.\\pipe\\a',
    EnableGraphicsConsole: true,
    AdditionalHyperVConfig: {
      '0000006d-facb-11e6-bd58-64006a7986d3': {
        BindSecurityDescriptor: 'bind',
        ConnectSecurityDescriptor: 'connect',
        AllowWildcardBinds: true,
        Disabled: false,
      },
      '40000000-facb-11e6-bd58-64006a7986d3': {},
    },
    ExtraVSockPorts: [20],
    UseGuestConnection: true,
    ForwardStdout: true,
    ForwardStderr: false,
    DisableTimeSyncService: true,
    PolicyBasedRouting: true,
    ProcessDumpLocation: '/dumps',
    LogLevel: 'debug',
    ScrubLogs: false,
    NoWritableFileShares: true,
    Shares: [{ name: 's', path: 'C:\\s', readOnly: true, guestPath: '/s' }],
    ProcessCommand: ['/bin/job', '--fast'],
    ProcessEnvironment: ['A=b=c'],
    ProcessWorkingDirectory: '/work',
    ProcessGracePeriodSeconds: 5,
    TerminateOnAgentExit: false,
  });
});

test('what is not requested is absent, not undefined', () => {
  expect(Object.entries(options({}))).toEqual([
    ['MemorySizeInMB', 1024],
    ['TerminateOnAgentExit', true],
  ]);
});

describe('a confidential VM', () => {
  test('is isolated, and its policy is unchanged', () => {
    const confidential = {
      securityPolicy: 'YWxs\nb3c=\n',
      enforcer: 'rego',
      guestStateFile: 'a.vmgs',
      dmVerityRootFSVhd: 'a.vhd',
      dmVerityMode: false,
      hclEnabled: true,
      encryptScratch: false,
      uvmReferenceInfoFile: 'a.cose',
      uvmHashEnvelopeReferenceInfoFile: 'b.cose',
    };
    expect(options({ confidential })).toEqual({
      MemorySizeInMB: 1024,
      TerminateOnAgentExit: true,
      SecurityPolicy: 'YWxs\nb3c=\n',
      SecurityPolicyEnabled: true,
      SecurityPolicyEnforcer: 'rego',
      GuestStateFilePath: 'a.vmgs',
      DmVerityRootFsVhd: 'a.vhd',
      DmVerityMode: false,
      HclEnabled: true,
      EnableScratchEncryption: false,
      UVMReferenceInfoFile: 'a.cose',
      UVMHashEnvelopeReferenceInfoFile: 'b.cose',
    });
  });

  test('has no isolation where the manifest says so', () => {
    expect(options({ confidential: { securityPolicy: 'YQ==', isolation: 'None' } })).toMatchObject({
      SecurityPolicy: 'YQ==',
      SecurityPolicyEnabled: false,
    });
  });

  test('has the policy that it refers to, and has no options without it', () => {
    const confidential = { securityPolicyFrom: { configMapKeyRef: { name: 'policies', key: 'web' } } };
    expect(options({ confidential }, { securityPolicy: 'YQ==' })).toMatchObject({ SecurityPolicy: 'YQ==' });
    expect(() => options({ confidential })).toThrow('securityPolicyFrom is not resolved');
  });

  test('keeps its root attached, whatever boot.dmVerityMode says about an ordinary root', () => {
    const isolated = { boot: { dmVerityMode: false }, confidential: { securityPolicy: 'YQ==' } };
    expect(options(isolated)).not.toHaveProperty('DmVerityMode');
    const ordinary = { ...isolated, confidential: { ...isolated.confidential, isolation: 'None' as const } };
    expect(options(ordinary)).toHaveProperty('DmVerityMode', false);
  });
});

describe('every field of the CRD reaches an option or belongs to the operator', () => {
  const operators: readonly string[] = operatorFields;
  const specFields = [...fieldsOf(openApiSchema(linuxUtilityVM))].filter(({ path }) => path.startsWith('spec.'));
  const leaves = specFields
    .map(({ path, schema }) => ({ path: path.slice('spec.'.length), schema }))
    .filter(({ schema }) => schema['type'] !== 'object' && schema['type'] !== 'array');

  test('the test finds the fields', () => {
    expect(leaves.map(({ path }) => path)).toContain('hvSocket.serviceTable[*].disabled');
    expect(leaves.map(({ path }) => path)).toContain('numa.nodes[].physicalNode');
    expect(leaves.length).toBeGreaterThan(70);
  });

  test.each(leaves)('$path', ({ path, schema }) => {
    const [one, other] = twoValues(schema);
    const changes = JSON.stringify(optionsWith(path, one)) !== JSON.stringify(optionsWith(path, other));
    const operator = operators.some((field) => path === field || path.startsWith(`${field}[`));
    expect({ changes, operator }).toEqual({ changes: !operator, operator });
  });

  /** The options of a spec with only `value` at `path`, and the neighbours that it requires there. */
  function optionsWith(path: string, value: unknown) {
    const members = path.replaceAll('[', '.[').split('.');
    const spec = linuxUtilityVMSpec.parse(nested(members, value, ''));
    const requested = fromSpec(spec, { securityPolicy: referredPolicy(path, value) });
    // Only known options, each of its type.
    expect(requestedOptions.parse(requested)).toEqual(requested);
    return requested;
  }

  function nested([member, ...rest]: readonly string[], value: unknown, above: string): unknown {
    if (member === undefined) return value;
    const path = member.startsWith('[') ? `${above}${member}` : [above, member].filter(Boolean).join('.');
    const inner = nested(rest, value, path);
    if (member === '[]') return [inner];
    if (member === '[*]') return { 'some-key': inner };
    return { ...requiredNeighbours(above), [member]: inner };
  }

  function requiredNeighbours(path: string): Record<string, unknown> {
    const parent = specFields.find((field) => field.path === `spec.${path}`)?.schema;
    const required = Array.isArray(parent?.['required']) ? parent['required'] : [];
    const properties = isObject(parent?.['properties']) ? parent['properties'] : {};
    return Object.fromEntries(
      required.map((name: string) => {
        const schema = properties[name];
        return [name, isObject(schema) ? twoValues(schema)[0] : undefined];
      }),
    );
  }

  /** The caller resolves a reference, so another name means another text. */
  function referredPolicy(path: string, value: unknown): string | undefined {
    return path.startsWith('confidential.securityPolicyFrom') ? String(value) : undefined;
  }

  function twoValues(schema: Field['schema']): readonly [unknown, unknown] {
    if (Array.isArray(schema['enum'])) return [schema['enum'][0], schema['enum'][1]];
    if (schema['type'] === 'boolean') return [true, false];
    if (schema['type'] === 'string') return ['aaaa', 'bbbb'];
    if (schema['type'] === 'array' && isObject(schema['items'])) {
      const [one, other] = twoValues(schema['items']);
      return [[one], [other]];
    }
    const step = Number(schema['multipleOf'] ?? 1);
    const least = Number(schema['minimum']);
    return [least, least + step];
  }
});
