// Works out how to boot a VM on this host: gathers the facts, fills the options, builds the document. Touches nothing.
import { documentDigest, optionsDigest, sha256Hex } from '../protocol/digest.ts';
import { type Assignment, type Devices, limits } from '../protocol/messages.ts';
import type { RequestedOptions } from '../protocol/options.ts';
import { type AllowList, requireAllowed } from './allow-list.ts';
import { type AllowedGroups, requireAllowedGroups } from './allowed-groups.ts';
import { buildDocument } from './document/build.ts';
import type { BuildInput } from './document/build-context.ts';
import type { DefaultsHost } from './document/defaults.ts';
import type { FileFacts, ProcessorFact } from './document/facts.ts';
import type { LinuxOptions } from './document/options.ts';
import type { BuildOutcome } from './document/outcome.ts';
import { joinPath } from './document/windows-paths.ts';
import { MachineFailure, messageOf } from './failure.ts';
import { guestPolicy } from './guest-policy.ts';
import type { HcsBackend } from './hcs/backend.ts';
import type { Applied } from './machine-record.ts';
import type { BootPlan, GuestPolicy, StagingStep } from './plan.ts';
import { fillOptions, pathsToStat } from './requested-options.ts';
import { ownerTag, systemIdOf } from './system-id.ts';
import type { FileFact, WindowsHost } from './windows-host.ts';

export interface PreparationPorts {
  readonly host: WindowsHost;
  readonly backend: Pick<HcsBackend, 'processorTopology'>;
  readonly randomGuid: () => string;
  /** Windows path of the agent's state folder. */
  readonly stateFolder: string;
  /** What specs may name besides the default boot folder and the state folder. */
  readonly allowed: AllowList;
  /** CPU groups and resource partitions that specs may join. Absent: none. */
  readonly allowedGroups?: AllowedGroups | undefined;
}

/** Rejects with a `MachineFailure` that carries the original's error text (hcs-documents §13). */
export async function prepareBoot(assignment: Assignment, ports: PreparationPorts): Promise<BootPlan> {
  const { uid, options: requested } = assignment;
  const host = await defaultsHost(ports.host);
  const { allowed, stateFolder } = ports;
  requireAllowed(requested, { ...allowed, paths: [host.bootFolder, stateFolder, ...allowed.paths] });
  requireAllowedGroups(requested, ports.allowedGroups);
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
  return planOf({ assignment, options: filled.options, outcome, document, policy, osBuild: host.build });
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

/** A failed query is a value: it comes after a missing kernel in the original's order of errors. */
async function processors(backend: PreparationPorts['backend']): Promise<ProcessorFact> {
  try {
    const { logicalProcessorCount } = await backend.processorTopology();
    return { kind: 'known', logicalProcessors: logicalProcessorCount };
  } catch (error) {
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
  readonly osBuild: number;
}

function planOf({ assignment, document, options, osBuild, outcome, policy }: Prepared): BootPlan {
  // Disks are attached once the VM runs.
  const { Disks, ...booted } = assignment.options;
  const applied: Applied = {
    options: booted,
    optionsDigest: Disks === undefined ? assignment.optionsDigest : optionsDigest(booted),
    documentDigest: documentDigest(document.text),
    ...(policy && { policyDigest: sha256Hex(Buffer.from(policy.encodedSecurityPolicy, 'base64')) }),
    outlivesAgent: assignment.options.TerminateOnAgentExit === false,
    processorCount: document.processorCount,
    memorySizeInMB: Number(document.memorySizeInMB),
    osBuild,
    scsiControllers: outcome.devices.scsiControllerCount,
    warnings: outcome.warnings.map(({ message }) => message.slice(0, limits.warningChars)).slice(0, limits.warnings),
    devices: devicesOf(assignment.options, options, outcome),
  };
  return {
    document: document.text,
    staging: outcome.effects.flatMap(stagingStep),
    applied,
    expects: { log: options.ForwardStdout || options.ForwardStderr, bridge: options.UseGuestConnection },
    policy,
  };
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
