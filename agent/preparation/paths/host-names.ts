// For each option of a manifest: what it names on the host, and the rule for its spelling. A user who may create a VM
// in a namespace must not reach the host's files through the agent, which runs as SYSTEM (docs/design.md §10).
import { mountPathProblem, mountPathsOverlap } from '../../../crds/spec/mount-paths.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import type { ReasonCode } from '../../../protocol/reasons.ts';
import { type PathPolicy, refusalOf } from './path-policy.ts';
import { isPipeAllowed, matches, pipeProblem } from './pipe-patterns.ts';
import { refusalOfShares } from './share-names.ts';
import { fileNameProblem, foldCase } from './windows-names.ts';

export interface NameScope {
  readonly namespace: string;
  readonly policy: PathPolicy;
  readonly pipes: readonly string[];
  readonly devices: readonly string[];
}

export interface Refusal {
  readonly reason: Extract<ReasonCode, 'PathNotAllowed' | 'DeviceNotAllowed' | 'InvalidOptions'>;
  readonly message: string;
}

type NameRule = (requested: RequestedOptions, scope: NameScope) => Refusal | undefined;

/** The first refusal, in the order of the options. */
export function refusalOfNames(requested: RequestedOptions, scope: NameScope): Refusal | undefined {
  for (const rule of Object.values(rules)) {
    const refusal = rule === nothing ? undefined : rule(requested, scope);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

/** For numbers, switches and GUIDs, and for texts that only the guest reads. */
const nothing: NameRule = () => undefined;

const notAllowed = (message: string): Refusal => ({ reason: 'PathNotAllowed', message });

/** The name of a file in the VM's boot folder. A name that leads out of the folder would reach the whole host. */
function nameOf(field: string, given: (requested: RequestedOptions) => string | undefined): NameRule {
  return (requested) => {
    const name = given(requested);
    const problem = name === undefined ? undefined : fileNameProblem(name);
    return problem === undefined ? undefined : notAllowed(`${field}: ${name} ${problem}`);
  };
}

/** The agent's own files in the folder of a VM, into which the guest state file is copied. */
const ownFiles: readonly string[] = ['vm.json', 'guest.log', 'document.json', 'rootfs.vhd'];

/** Windows gives such aliases to long names: `VM~1.JSO` may be one of the agent's files. */
const shortAlias = /~\d/;
const mayBeShort = 'may be the short name of another file in the folder that it is copied to: rename the file';

const guestStateFile: NameRule = (requested, scope) => {
  const refusal = guestStateName(requested, scope);
  const name = requested.GuestStateFilePath;
  if (refusal !== undefined || name === undefined) return refusal;
  if (shortAlias.test(name)) return notAllowed(`confidential.guestStateFile: ${name} ${mayBeShort}`);
  const isOwn = ownFiles.some((own) => foldCase(name).startsWith(foldCase(own)));
  const why = 'is the name of a file that the agent keeps in the same folder: rename the file';
  return isOwn ? notAllowed(`confidential.guestStateFile: ${name} ${why}`) : undefined;
};

const guestStateName = nameOf('confidential.guestStateFile', ({ GuestStateFilePath }) => GuestStateFilePath);

const bootFolder: NameRule = ({ BootFilesPath: path }, { policy }) => {
  const problem = path === undefined ? undefined : refusalOf(path, 'boot', policy);
  return problem === undefined ? undefined : notAllowed(`boot.filesPath: ${path} ${problem}`);
};

const disks: NameRule = ({ Disks = [] }, { policy }) => {
  for (const { name, path, readOnly } of Disks) {
    const problem = refusalOf(path, readOnly ? 'readOnlyDisk' : 'writableDisk', policy);
    if (problem !== undefined) return notAllowed(`storage.disks[${name}].path: ${path} ${problem}`);
  }
  return mountPaths(Disks);
};

/** A mount that fails deletes what is at its target (`crds/spec/mount-paths.ts`). */
function mountPaths(disks: NonNullable<RequestedOptions['Disks']>): Refusal | undefined {
  const seen: { readonly name: string; readonly mountPath: string }[] = [];
  for (const { mountPath, name } of disks) {
    if (mountPath === undefined) continue;
    const field = `storage.disks[${name}].mountPath: ${mountPath}`;
    const problem = mountPathProblem(mountPath);
    if (problem !== undefined) return notAllowed(`${field} ${problem}`);
    const other = seen.find((each) => mountPathsOverlap(each.mountPath, mountPath));
    if (other !== undefined) {
      return notAllowed(`${field} must not be equal to, above or below ${other.mountPath} of disk ${other.name}`);
    }
    seen.push({ name, mountPath });
  }
  return undefined;
}

const consolePipe: NameRule = ({ ConsolePipe: pipe = '' }, { namespace, pipes }) => {
  if (pipe === '') return undefined;
  const problem = pipeProblem(pipe);
  if (problem !== undefined) return notAllowed(`console.pipe: ${pipe} ${problem}`);
  if (isPipeAllowed(pipe, namespace, pipes)) return undefined;
  const fix = 'choose another name, or have it allowed by --allowed-pipe';
  return notAllowed(`console.pipe: the agent of this host does not allow ${pipe} for this namespace: ${fix}`);
};

const assignedDevices: NameRule = ({ AssignedDevices = [] }, { devices }) => {
  const refused = AssignedDevices.find(({ deviceInstanceID: id }) => !devices.some((pattern) => matches(id, pattern)));
  if (refused === undefined) return undefined;
  const message = `devices.assigned: the agent of this host does not allow ${refused.deviceInstanceID}; see --allowed-device`;
  return { reason: 'DeviceNotAllowed', message };
};

/** Every option has an entry; without one this does not compile. */
const rules: Readonly<Record<keyof RequestedOptions, NameRule>> = {
  BootFilesPath: bootFolder,
  KernelFile: nameOf('boot.kernelFile', ({ KernelFile }) => KernelFile),
  RootFSFile: nameOf('boot.rootFSFile', ({ RootFSFile }) => RootFSFile),
  GuestStateFilePath: guestStateFile,
  DmVerityRootFsVhd: nameOf('confidential.dmVerityRootFSVhd', ({ DmVerityRootFsVhd }) => DmVerityRootFsVhd),
  UVMReferenceInfoFile: nameOf('confidential.uvmReferenceInfoFile', (requested) => requested.UVMReferenceInfoFile),
  UVMHashEnvelopeReferenceInfoFile: nameOf(
    'confidential.uvmHashEnvelopeReferenceInfoFile',
    (requested) => requested.UVMHashEnvelopeReferenceInfoFile,
  ),
  Disks: disks,
  Shares: (requested, { policy }) => refusalOfShares(requested, policy),
  ConsolePipe: consolePipe,
  AssignedDevices: assignedDevices,

  // Used in the guest only: its command lines, the folder for its dumps, and its process.
  KernelBootOptions: nothing,
  ExecCommandLine: nothing,
  ExtraExecArgs: nothing,
  DmVerityCreateArgs: nothing,
  ProcessDumpLocation: nothing,
  ProcessCommand: nothing,
  ProcessEnvironment: nothing,
  ProcessWorkingDirectory: nothing,
  ProcessGracePeriodSeconds: nothing,
  LogLevel: nothing,
  ScrubLogs: nothing,
  DisableTimeSyncService: nothing,
  PolicyBasedRouting: nothing,
  ForwardStdout: nothing,
  ForwardStderr: nothing,
  WritableOverlayDirs: nothing,
  SecurityPolicy: nothing,
  SecurityPolicyEnforcer: nothing,

  // Keys are GUIDs of services, values are security descriptors.
  AdditionalHyperVConfig: nothing,
  ExtraVSockPorts: nothing,

  // GUIDs.
  CPUGroupID: nothing,
  ResourcePartitionID: nothing,

  // Numbers, switches, choices from a list.
  MemorySizeInMB: nothing,
  AllowOvercommit: nothing,
  FullyPhysicallyBacked: nothing,
  EnableDeferredCommit: nothing,
  EnableColdDiscardHint: nothing,
  LowMMIOGapInMB: nothing,
  HighMMIOBaseInMB: nothing,
  HighMMIOGapInMB: nothing,
  ProcessorCount: nothing,
  ProcessorLimit: nothing,
  ProcessorWeight: nothing,
  MaxProcessorsPerNumaNode: nothing,
  MaxMemorySizePerNumaNode: nothing,
  PreferredPhysicalNumaNodes: nothing,
  NumaMappedPhysicalNodes: nothing,
  NumaProcessorCounts: nothing,
  NumaMemoryBlocksCounts: nothing,
  PreferredRootFSType: nothing,
  KernelDirect: nothing,
  DmVerityMode: nothing,
  SCSIControllerCount: nothing,
  VPMemDeviceCount: nothing,
  VPMemSizeBytes: nothing,
  VPMemNoMultiMapping: nothing,
  StorageQoSIopsMaximum: nothing,
  StorageQoSBandwidthMaximum: nothing,
  VPCIEnabled: nothing,
  EnableGraphicsConsole: nothing,
  UseGuestConnection: nothing,
  NoWritableFileShares: nothing,
  SecurityPolicyEnabled: nothing,
  HclEnabled: nothing,
  EnableScratchEncryption: nothing,
  TerminateOnAgentExit: nothing,
};
