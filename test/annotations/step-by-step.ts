// A second, independent reading of docs/reference/hcs-documents.md §9.3: one step after the other on one object, as the
// original converts. The product first reads all annotations, without a host, and then applies them.
import { updateBootFilesPath } from '../../agent/document/boot-files.ts';
import { type DefaultsHost, defaultOptions } from '../../agent/document/defaults.ts';
import type { FileFacts } from '../../agent/document/facts.ts';

type Options = Record<string, unknown>;
type Annotations = Readonly<Record<string, string>>;

export interface Converted {
  readonly options: Options;
  /** The keys of the warnings, in order. */
  readonly warnings: readonly string[];
}

const vm = 'io.microsoft.virtualmachine.';

/** Steps that only copy: key, parser and option. A step without a parser is below. */
const table: readonly (readonly [step: number, key: string, parser: string, option: string])[] = [
  [1, `${vm}computetopology.memory.sizeinmb`, 'uint64 above 0', 'MemorySizeInMB'],
  [2, `${vm}computetopology.memory.lowmmiogapinmb`, 'uint64', 'LowMMIOGapInMB'],
  [5, `${vm}computetopology.memory.allowovercommit`, 'bool', 'AllowOvercommit'],
  [7, `${vm}computetopology.processor.count`, 'int32 not 0', 'ProcessorCount'],
  [11, `${vm}storageqos.iopsmaximum`, 'int32 not 0', 'StorageQoSIopsMaximum'],
  [12, `${vm}cpugroup.id`, 'string', 'CPUGroupID'],
  [15, `${vm}fileshares.disablewritable`, 'bool', 'NoWritableFileShares'],
  [18, `${vm}computetopology.processor.numa.max-processors-per-node`, 'uint32', 'MaxProcessorsPerNumaNode'],
  [26, `${vm}computetopology.memory.enablecolddiscardhint`, 'bool', 'EnableColdDiscardHint'],
  [27, `${vm}devices.virtualpmem.maximumcount`, 'uint32', 'VPMemDeviceCount'],
  [32, `${vm}lcow.bootfilesrootpath`, 'folder', ''],
  [33, `${vm}storage.scratch.encrypted`, 'bool', 'EnableScratchEncryption'],
  [34, `${vm}lcow.securitypolicy`, 'string', 'SecurityPolicy'],
  [38, `${vm}lcow.kernelbootoptions`, 'string', 'KernelBootOptions'],
  [41, `${vm}lcow.preferredrootfstype`, 'root type', 'PreferredRootFSType'],
  [42, `${vm}lcow.kerneldirectboot`, 'kernel direct', 'KernelDirect'],
  [43, `${vm}fullyphysicallybacked`, 'physical', 'FullyPhysicallyBacked'],
  [45, `${vm}no_security_hardware`, 'policy', ''],
  [46, `${vm}lcow.gueststatefile`, 'string', 'GuestStateFilePath'],
  [47, `${vm}lcow.dmverity-rootfs-vhd`, 'string', 'DmVerityRootFsVhd'],
  [48, `${vm}lcow.dmverity-mode`, 'bool', 'DmVerityMode'],
  [50, `${vm}lcow.hcl-enabled`, 'bool', 'HclEnabled'],
];

export const convertedKeys = table.map(([, key]) => key);

export function convertStepByStep(annotations: Annotations, host: DefaultsHost, files: FileFacts): Converted {
  let options: Options = { ...defaultOptions({ id: 'vm', owner: 'o' }, host, files) };
  const warnings: string[] = [];
  const bool = (key: string, otherwise: unknown): unknown => {
    const text = annotations[key];
    if (text === undefined) return otherwise;
    if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
    if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false;
    warnings.push(key);
    return otherwise;
  };
  const number = (key: string, pattern: RegExp, low: bigint, high: bigint): bigint | undefined => {
    const text = annotations[key];
    if (text === undefined) return undefined;
    const value = pattern.test(text) ? BigInt(text) : undefined;
    if (value !== undefined && value >= low && value <= high) return value;
    warnings.push(key);
    return undefined;
  };
  const unsigned = (key: string, bits: bigint) => number(key, /^\d+$/, 0n, (1n << bits) - 1n);
  const signed = (key: string) => number(key, /^[+-]?\d+$/, -(1n << 31n), (1n << 31n) - 1n);
  const steps: Readonly<Record<string, (key: string, option: string) => void>> = {
    'uint64 above 0': (key, option) => {
      options[option] = unsigned(key, 64n) || options[option];
    },
    'int32 not 0': (key, option) => {
      options[option] = Number(signed(key) ?? 0n) || options[option];
    },
    uint64: (key, option) => {
      options[option] = unsigned(key, 64n) ?? options[option];
    },
    uint32: (key, option) => {
      const value = unsigned(key, 32n);
      options[option] = value === undefined ? options[option] : Number(value);
    },
    bool: (key, option) => {
      options[option] = bool(key, options[option]);
    },
    string: (key, option) => {
      options[option] = annotations[key] ?? options[option];
    },
    folder: (key) => {
      const folder = annotations[key];
      if (folder !== undefined) options = updateBootFilesPath(Object(options), folder, host.currentDirectory, files);
    },
    'root type': (key, option) => {
      const text = annotations[key];
      if (text !== undefined && text !== 'initrd' && text !== 'vhd') warnings.push(key);
      if (text === 'initrd') options[option] = 0;
      if (text === 'vhd') options[option] = 1;
      if (options[option] === 0) options['RootFSFile'] = 'initrd.img';
      if (options[option] === 1) options['RootFSFile'] = 'rootfs.vhd';
    },
    'kernel direct': (key, option) => {
      options[option] = bool(key, options[option]);
      if (options[option] === false) options['KernelFile'] = 'kernel';
    },
    physical: (key, option) => {
      options[option] = bool(key, options[option]);
      if (options[option] === true) Object.assign(options, { AllowOvercommit: false, VPMemDeviceCount: 0 });
    },
    policy: (key) => {
      const noHardware = bool(key, false);
      if (options['SecurityPolicy'] === '') return;
      if (noHardware === false) Object.assign(options, sealed);
      options['EnableScratchEncryption'] = bool(`${vm}storage.scratch.encrypted`, true);
    },
  };
  for (const [, key, parser, option] of table) steps[parser]?.(key, option);
  return { options, warnings };
}

const sealed = {
  VPMemDeviceCount: 0,
  GuestStateFilePath: 'kernel.vmgs',
  KernelBootOptions: '',
  AllowOvercommit: false,
  SecurityPolicyEnabled: true,
  PreferredRootFSType: 2,
  RootFSFile: '',
  DmVerityRootFsVhd: 'rootfs.vhd',
  DmVerityMode: true,
};
