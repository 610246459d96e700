// Decides which changes of a manifest a running VM can get, and which need a restart (design §8, "Changes without a
// restart"). Pure: compares the options that the VM has with the wanted options.
import { isDeepStrictEqual } from 'node:util';
import { optionsDigest } from '../../../protocol/digest.ts';
import type { Assignment } from '../../../protocol/messages.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import { processorLimitsSince } from '../../modification/topology.ts';
import type { Applied } from '../../preparation/applied.ts';
import type { WantedDisk } from '../../preparation/paths/admission.ts';
import { type MachineRecord, type Resource, resources, type VirtualMachineDisk } from '../record.ts';
import { sharesToRemove } from './share-options.ts';

interface ResourceRule {
  /** The options that say how much of the resource the VM has. */
  readonly options: (from: RequestedOptions) => RequestedOptions;
  readonly canChange: (applied: Applied) => boolean;
}

const rules: Readonly<Record<Resource, ResourceRule>> = {
  memory: {
    options: ({ MemorySizeInMB }) => ({ MemorySizeInMB }),
    // The sizes of virtual NUMA nodes add up to the memory. The memory of an isolated VM is measured at its launch.
    canChange: ({ options }) => !hasVirtualNuma(options) && options.SecurityPolicyEnabled !== true,
  },
  processorLimits: {
    options: ({ ProcessorLimit, ProcessorWeight }) => ({ ProcessorLimit, ProcessorWeight }),
    canChange: ({ osBuild }) => osBuild >= processorLimitsSince,
  },
  cpuGroup: {
    options: ({ CPUGroupID }) => ({ CPUGroupID }),
    // A VM has either a CPU group or a resource partition (hcs-runtime G.5). The partition cannot be changed.
    canChange: ({ options }) => (options.ResourcePartitionID ?? '') === '',
  },
};

function hasVirtualNuma(options: RequestedOptions): boolean {
  return (options.MaxProcessorsPerNumaNode ?? 0) > 0 || (options.NumaMappedPhysicalNodes ?? []).length > 0;
}

/** The file that holds the disk. */
export function fileOf({ finalPath, path }: VirtualMachineDisk): string {
  return finalPath ?? path;
}

/** The VM's options after all changes that need no restart. */
export function reachableOptions(applied: Applied, wanted: RequestedOptions): RequestedOptions {
  let reached: RequestedOptions = { ...applied.options, Disks: wanted.Disks, Shares: wanted.Shares };
  for (const resource of resources) {
    if (rules[resource].canChange(applied)) reached = withResource(reached, wanted, resource);
  }
  return reached;
}

export function withResource(to: RequestedOptions, from: RequestedOptions, resource: Resource): RequestedOptions {
  return { ...to, ...rules[resource].options(from) };
}

/** Whether some wanted options need a restart. */
export function restartRequired({ applied, assignment }: MachineRecord): boolean {
  if (applied === undefined || assignment === undefined) return false;
  if (applied.optionsDigest === assignment.optionsDigest) return false;
  return !sameOptions(reachableOptions(applied, assignment.options), assignment.options);
}

/** The resources to change, in the order of the changes. */
export function pendingResources({ applied, assignment, unsettled }: MachineRecord): readonly Resource[] {
  if (applied === undefined || assignment === undefined) return [];
  return resources.filter((resource) => {
    const { canChange, options } = rules[resource];
    const differs = !sameOptions(options(applied.options), options(assignment.options));
    return canChange(applied) && (differs || unsettled.includes(resource));
  });
}

/** Disks that are not wanted, or wanted with other options, or not known to be attached. */
export function disksToDetach({ assignment, disks }: MachineRecord): readonly VirtualMachineDisk[] {
  return disks.filter((disk) => disk.state !== 'attached' || !isWanted(disk, assignment));
}

export function isWanted(disk: VirtualMachineDisk, assignment: Assignment | undefined): boolean {
  return assignment?.options.Disks?.some((each) => isSameDisk(each, disk)) === true;
}

/** Wanted disks whose name is free. A name is free again once the disk that had it is gone. */
export function disksToAttach({ assignment, disks }: MachineRecord): readonly WantedDisk[] {
  const wanted = assignment?.options.Disks ?? [];
  return wanted.filter(({ name }) => !disks.some((disk) => disk.name === name));
}

function isSameDisk(wanted: WantedDisk, disk: VirtualMachineDisk): boolean {
  return isDeepStrictEqual(defined(wanted), optionOf(disk));
}

/** What the manifest says of a disk. */
function optionOf(disk: VirtualMachineDisk): WantedDisk {
  const { mountPath, name, path, readOnly } = disk;
  return { name, path, readOnly, ...(mountPath !== undefined && { mountPath }), ...filesystemOf(disk) };
}

/** Without the members that the manifest leaves out. */
export function filesystemOf({ ensureFilesystem, filesystem }: Pick<WantedDisk, 'ensureFilesystem' | 'filesystem'>) {
  return {
    ...(filesystem !== undefined && { filesystem }),
    ...(ensureFilesystem !== undefined && { ensureFilesystem }),
  };
}

/** The files that the VM has access to although no disk of it needs them any more. */
export function unusedAccess({ acquired, disks }: MachineRecord): readonly string[] {
  const used = new Set(disks.map(fileOf));
  return acquired.filter(({ kind, path }) => kind === 'access' && !used.has(path)).map(({ path }) => path);
}

export function hasPendingChanges(record: MachineRecord): boolean {
  const { applied, assignment } = record;
  if (applied === undefined || assignment === undefined) return false;
  return (
    pendingResources(record).length > 0 ||
    disksToDetach(record).length > 0 ||
    sharesToRemove(record).length > 0 ||
    unusedAccess(record).length > 0 ||
    !isDeepStrictEqual(applied.options.Disks, assignment.options.Disks) ||
    !isDeepStrictEqual(applied.options.Shares, assignment.options.Shares)
  );
}

/** The attached disks as an option. It equals the manifest's option when exactly the wanted disks are attached. */
export function optionOfDisks(record: MachineRecord): RequestedOptions['Disks'] {
  const attached = record.disks.filter(({ state }) => state === 'attached');
  const isComplete = disksToDetach(record).length === 0 && disksToAttach(record).length === 0;
  if (isComplete) return record.assignment?.options.Disks;
  if (attached.length === 0) return undefined;
  return attached.map(optionOf);
}

/** The digest of the options. When they equal the wanted options, it is the digest that the operator sent. */
export function digestOf(options: RequestedOptions, assignment: Assignment | undefined): string {
  const isWanted = assignment !== undefined && sameOptions(options, assignment.options);
  return isWanted ? assignment.optionsDigest : optionsDigest(options);
}

function sameOptions(a: RequestedOptions, b: RequestedOptions): boolean {
  return isDeepStrictEqual(defined(a), defined(b));
}

/** Removes members that are undefined: they count as absent. */
function defined(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined));
}
