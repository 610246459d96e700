// Plans the boot of a VM on this host: gathers the facts, completes the options, builds the document. Changes nothing.
import { documentDigest, optionsDigest, sha256Hex } from '../../protocol/digest.ts';
import { type Assignment, type Devices, limits } from '../../protocol/messages.ts';
import type { RequestedOptions } from '../../protocol/options.ts';
import { beginning } from '../../runtime/beginning.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { buildDocument } from '../document/build.ts';
import type { BuildInput } from '../document/build-context.ts';
import type { DefaultsHost } from '../document/defaults.ts';
import type { FileFacts, ProcessorFact } from '../document/facts.ts';
import type { LinuxOptions } from '../document/options.ts';
import type { BuildOutcome } from '../document/outcome.ts';
import { joinPath } from '../document/windows-paths.ts';
import { MachineFailure } from '../failure.ts';
import type { HcsBackend } from '../node/backend.ts';
import { HcsError } from '../node/hcs-error.ts';
import type { FileFact, WindowsHost } from '../node/host.ts';
import { ownerTag, systemIdOf } from '../node/system-id.ts';
import type { AllowList } from './allow-list.ts';
import { type AllowedGroups, requireAllowedGroups } from './allowed-groups.ts';
import type { Applied } from './applied.ts';
import { allowsExec } from './exec-policy.ts';
import { guestPolicy } from './guest-policy.ts';
import {
  type AdmissionScope,
  type AdmittedDisk,
  FileAdmission,
  requireAllowedNames,
  type WantedDisk,
} from './paths/admission.ts';
import type { WantedShare } from './paths/share-names.ts';
import type { BootedFile, BootPlan, GuestPolicy, StagingStep } from './plan.ts';
import { bootPathsNamed, fillOptions, pathsToStat } from './requested-options.ts';

/** What is needed to judge the names in a manifest. */
export interface NamePorts {
  readonly host: Pick<WindowsHost, 'withFile'>;
  /** The agent's own folders as Windows paths, which no manifest may name (`ownFolders`). */
  readonly ownFolders: readonly string[];
  /** What manifests may name besides the host's boot files. */
  readonly allowed: AllowList;
  /** CPU groups and resource partitions that specs may join. Absent: none. */
  readonly allowedGroups?: AllowedGroups | undefined;
}

export interface PreparationPorts extends NamePorts {
  readonly host: WindowsHost;
  readonly backend: Pick<HcsBackend, 'processorTopology'>;
  readonly randomGuid: () => string;
  /** Windows path of the agent's state folder. */
  readonly stateFolder: string;
}

/** Rejects with a `MachineFailure` that carries the original's error text (hcs-documents §13). */
export async function prepareBoot(assignment: Assignment, ports: PreparationPorts): Promise<BootPlan> {
  const { uid, options: requested } = assignment;
  const host = await defaultsHost(ports.host);
  const { stateFolder } = ports;
  await requireAllowed(assignment, host, ports);
  const [files, known] = await Promise.all([
    gatherFiles(pathsToStat(requested, host), ports.host),
    processors(ports.backend),
  ]);
  const bundleDirectory = joinPath(stateFolder, 'vms', uid);
  const filled = fillOptions({ id: systemIdOf(uid), owner: ownerTag, bundleDirectory, requested }, host, files);
  const input: BuildInput = {
    ...filled,
    host: { architecture: host.architecture, build: host.build, processors: known },
    files,
    randomGuid: ports.randomGuid,
  };
  const outcome = buildDocument(input);
  const document = requireDocument(outcome);
  const policy = await guestPolicy(filled.options, host.bootFolder, ports.host);
  return planOf({ assignment, options: filled.options, outcome, document, policy, files, osBuild: host.build });
}

/** Rejects with a `MachineFailure` when the manifest names something on the host that is not allowed. */
export async function requireAllowed(assignment: Assignment, host: DefaultsHost, ports: NamePorts): Promise<void> {
  const scope = scopeOf(assignment, host.bootFolder, ports);
  requireAllowedNames(assignment, scope);
  requireAllowedGroups(assignment.options, ports.allowedGroups);
  requireProcess(assignment.options);
  await requireAllowedFiles(assignment.options, host, scope);
}

/** The guest would refuse it later: rules of the CRD, checked again, and those of the security policy. */
function requireProcess(options: RequestedOptions): void {
  if (options.ProcessCommand === undefined) return;
  if (options.UseGuestConnection === false) {
    throw new MachineFailure('InvalidOptions', 'process: guest.useConnection must not be false');
  }
  if (allowsExec(options)) return;
  const message = 'process: the security policy of the VM allows no process to be started from outside';
  throw new MachineFailure('ProcessNotAllowed', message);
}

/** Checks a disk right before it is attached. Rejects with a `MachineFailure`. */
export async function admitDiskOf(
  assignment: Assignment,
  disk: WantedDisk,
  ports: PreparationPorts,
): Promise<AdmittedDisk> {
  const { bootFolder } = await defaultsHost(ports.host);
  const admission = await FileAdmission.open(scopeOf(assignment, bootFolder, ports));
  const admitted = await admission.admitDisk(disk);
  if (admitted === undefined) throw new MachineFailure('DiskFailed', `disk ${disk.name}: '${disk.path}' not found`);
  return admitted;
}

/** Checks a share right before it is added. Resolves with its folder's final path; rejects with a `MachineFailure`. */
export async function admitShareOf(
  assignment: Assignment,
  share: WantedShare,
  ports: PreparationPorts,
): Promise<string> {
  const { bootFolder } = await defaultsHost(ports.host);
  const admission = await FileAdmission.open(scopeOf(assignment, bootFolder, ports));
  const admitted = await admission.admitShare(share, assignment.options);
  if (admitted === undefined) throw new MachineFailure('ShareFailed', `share ${share.name}: '${share.path}' not found`);
  return admitted;
}

function scopeOf(
  { namespace }: Assignment,
  bootFolder: string,
  { allowed, host, ownFolders }: NamePorts,
): AdmissionScope {
  return { host, namespace, allowed, bootFolder, closed: ownFolders };
}

/** A VM that names no file uses the host's default boot files, so there is nothing to check. */
async function requireAllowedFiles(
  requested: RequestedOptions,
  host: DefaultsHost,
  scope: AdmissionScope,
): Promise<void> {
  const boots = bootPathsNamed(requested, host);
  const { Disks: disks = [], Shares: shares = [] } = requested;
  if (boots.length + disks.length + shares.length === 0) return;
  const admission = await FileAdmission.open(scope);
  await admission.requireBootFiles(boots);
  // A disk that is in use or missing is checked again when it is attached, and a share when it is added.
  const unlessPassing = (error: unknown) => {
    if (!(error instanceof MachineFailure) || error.stalls) throw error;
  };
  for (const disk of disks) await admission.admitDisk(disk).catch(unlessPassing);
  for (const share of shares) await admission.admitShare(share, requested).catch(unlessPassing);
}

async function defaultsHost(host: WindowsHost): Promise<DefaultsHost> {
  try {
    const facts = await host.facts();
    return {
      architecture: facts.architecture,
      build: facts.osBuild,
      visibleProcessors: facts.logicalProcessors,
      bootFolder: facts.bootFiles[0]?.path ?? 'C:\\LinuxBootFiles',
      currentDirectory: 'C:\\',
    };
  } catch (error) {
    throw new MachineFailure('HostQueryFailed', `cannot read the facts of the host: ${messageOf(error)}`, error);
  }
}

async function gatherFiles(paths: readonly string[], host: WindowsHost): Promise<FileFacts> {
  const found = await Promise.all(paths.map(async (path) => [path, await host.stat(path)] as const));
  const facts = new Map<string, FileFact>(found);
  return {
    stat(path) {
      const fact = facts.get(path);
      if (fact === undefined) throw new Error(`the document builder asked for a file that was not looked up: ${path}`);
      return fact;
    },
  };
}

/**
 * A failed query is a value, because in the original's order its error comes after a missing kernel. A compute service
 * that went away is not: every later call would fail, too, and only a new agent reaches it again.
 */
async function processors(backend: PreparationPorts['backend']): Promise<ProcessorFact> {
  try {
    const { logicalProcessorCount } = await backend.processorTopology();
    return { kind: 'known', logicalProcessors: logicalProcessorCount };
  } catch (error) {
    if (error instanceof HcsError && error.isServiceDisconnect) throw error;
    return { kind: 'error', message: messageOf(error) };
  }
}

type BuiltDocument = Extract<BuildOutcome['result'], { readonly kind: 'document' }>;

function requireDocument({ result }: BuildOutcome): BuiltDocument {
  if (result.kind === 'document') return result;
  const reason = result.code === 'HostProcessorQuery' ? 'HostQueryFailed' : 'InvalidOptions';
  throw new MachineFailure(reason, result.message);
}

interface Prepared {
  readonly assignment: Assignment;
  readonly options: LinuxOptions;
  readonly outcome: BuildOutcome;
  readonly document: BuiltDocument;
  readonly policy: GuestPolicy | undefined;
  readonly files: FileFacts;
  readonly osBuild: number;
}

function planOf({ assignment, document, files, options, osBuild, outcome, policy }: Prepared): BootPlan {
  // Disks and shares are added once the VM runs.
  const { Disks, Shares, ...booted } = assignment.options;
  const applied: Applied = {
    options: booted,
    optionsDigest: Disks === undefined && Shares === undefined ? assignment.optionsDigest : optionsDigest(booted),
    documentDigest: documentDigest(document.text),
    ...(policy && { policyDigest: sha256Hex(Buffer.from(policy.encodedSecurityPolicy, 'base64')) }),
    outlivesAgent: assignment.options.TerminateOnAgentExit === false,
    processorCount: document.processorCount,
    memorySizeInMB: Number(document.memorySizeInMB),
    osBuild,
    scsiControllers: outcome.devices.scsiControllerCount,
    warnings: outcome.warnings.map(({ message }) => beginning(message, limits.warningChars)).slice(0, limits.warnings),
    devices: devicesOf(assignment.options, options, outcome),
    execAllowed: allowsExec(booted),
  };
  return {
    document: document.text,
    uses: { requested: assignment.options, bootFiles: bootFilesOf(options) },
    staging: outcome.effects.flatMap(stagingStep),
    applied,
    policy,
    boots: [options.KernelFile, options.RootFSFile].flatMap((name) => bootedFile(options.BootFilesPath, name, files)),
  };
}

function bootedFile(folder: string, name: string, files: FileFacts): BootedFile[] {
  if (name === '') return [];
  const path = joinPath(folder, name);
  const fact = files.stat(path);
  return fact.kind === 'file' ? [{ path, bytes: fact.size }] : [];
}

function bootFilesOf(options: LinuxOptions): readonly string[] {
  const names = [options.KernelFile, options.RootFSFile, options.GuestStateFilePath, options.DmVerityRootFsVhd];
  return [...new Set(names.filter((name) => name !== ''))].map((name) => joinPath(options.BootFilesPath, name));
}

function stagingStep(effect: BuildOutcome['effects'][number]): StagingStep[] {
  switch (effect.kind) {
    case 'copy':
      return [{ kind: 'copy', from: effect.from, to: effect.to, errorPrefix: effect.errorPrefix }];
    case 'grant':
      return [{ kind: 'grant', path: effect.path, errorPrefix: effect.errorPrefix }];
    case 'reserve':
      return [];
  }
}

function devicesOf(requested: RequestedOptions, options: LinuxOptions, { devices }: BuildOutcome): Devices {
  const root = joinPath(options.BootFilesPath, options.RootFSFile);
  return {
    vpmem: devices.vpmemSlots.map(({ slot, hostPath }) => ({ slot, path: joinPath(options.BootFilesPath, hostPath) })),
    scsi: devices.scsiSlots.map(({ controller, lun }) => ({
      controller,
      lun,
      path: requested.SecurityPolicyEnabled === true ? joinPath(options.BundleDirectory, 'rootfs.vhd') : root,
    })),
    assigned: devices.assigned.map(({ deviceInstanceID, vmbusGuid }) => ({
      instanceID: deviceInstanceID,
      vmbusID: vmbusGuid,
    })),
  };
}
