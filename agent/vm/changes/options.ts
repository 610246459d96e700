// What of a manifest's change a running VM can be given, and what only a restart applies (design §8, "Changes without a
// restart"). Pure: compares the options that the VM has with those that are wanted.
import { isDeepStrictEqual } from 'node:util';
import { optionsDigest } from '../../../protocol/digest.ts';
import type { Assignment } from '../../../protocol/messages.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import { processorLimitsSince } from '../../modification/topology.ts';
import type { Applied } from '../../preparation/applied.ts';
import type { WantedDisk } from '../../preparation/paths/admission.ts';
import { type MachineRecord, type Resource, resources, type VirtualMachineDisk } from '../record.ts';

interface ResourceRule {
  /** The options that say how much of it the VM has. */
  readonly options: (from: RequestedOptions) => RequestedOptions;
  readonly canChange: (applied: Applied) => boolean;
}

const rules: Readonly<Record<Resource, ResourceRule>> = {
  memory: {
    options: ({ MemorySizeInMB }) => ({ MemorySizeInMB }),
    // The nodes of a vNUMA add up to the memory, and an isolated VM's memory is measured at its launch.
    canChange: ({ options }) => !hasVirtualNuma(options) && options.SecurityPolicyEnabled !== true,
  },
  processorLimits: {
    options: ({ ProcessorLimit, ProcessorWeight }) => ({ ProcessorLimit, ProcessorWeight }),
    canChange: ({ osBuild }) => osBuild >= processorLimitsSince,
  },
  cpuGroup: {
    options: ({ CPUGroupID }) => ({ CPUGroupID }),
    // A VM has either a CPU group or a resource partition (hcs-runtime G.5), and the partition stays.
    canChange: ({ options }) => (options.ResourcePartitionID ?? '') === '',
  },
};

function hasVirtualNuma(options: RequestedOptions): boolean {
  return (options.MaxProcessorsPerNumaNode ?? 0) > 0 || (options.NumaMappedPhysicalNodes ?? []).length > 0;
}

/** The file that a disk is. */
export function fileOf({ finalPath, path }: VirtualMachineDisk): string {
  return finalPath ?? path;
}

/** The VM's options with what it can be given of the wanted ones. */
export function reachableOptions(applied: Applied, wanted: RequestedOptions): RequestedOptions {
  let reached: RequestedOptions = { ...applied.options, Disks: wanted.Disks };
  for (const resource of resources) {
    if (rules[resource].canChange(applied)) reached = withResource(reached, wanted, resource);
  }
  return reached;
}

export function withResource(to: RequestedOptions, from: RequestedOptions, resource: Resource): RequestedOptions {
  return { ...to, ...rules[resource].options(from) };
}

/** What is wanted cannot be had by changing the VM as it runs. */
export function restartRequired({ applied, assignment }: MachineRecord): boolean {
  if (applied === undefined || assignment === undefined) return false;
  if (applied.optionsDigest === assignment.optionsDigest) return false;
  return !sameOptions(reachableOptions(applied, assignment.options), assignment.options);
}

/** In the order in which they are changed. */
export function pendingResources({ applied, assignment, unsettled }: MachineRecord): readonly Resource[] {
  if (applied === undefined || assignment === undefined) return [];
  return resources.filter((resource) => {
    const { canChange, options } = rules[resource];
    const differs = !sameOptions(options(applied.options), options(assignment.options));
    return canChange(applied) && (differs || unsettled.includes(resource));
  });
}

/** Disks that are not wanted, or not as they are, or of which it is not known whether they are there. */
export function disksToDetach({ assignment, disks }: MachineRecord): readonly VirtualMachineDisk[] {
  return disks.filter((disk) => disk.state !== 'attached' || !isWanted(disk, assignment));
}

export function isWanted(disk: VirtualMachineDisk, assignment: Assignment | undefined): boolean {
  return assignment?.options.Disks?.some((each) => isSameDisk(each, disk)) === true;
}

/** A name is free again once the disk that had it is gone. */
export function disksToAttach({ assignment, disks }: MachineRecord): readonly WantedDisk[] {
  const wanted = assignment?.options.Disks ?? [];
  return wanted.filter(({ name }) => !disks.some((disk) => disk.name === name));
}

function isSameDisk(wanted: WantedDisk, disk: VirtualMachineDisk): boolean {
  const { name, path, readOnly, mountPath } = disk;
  return isDeepStrictEqual(defined(wanted), defined({ name, path, readOnly, mountPath }));
}

/** Access to files of disks that the VM does not have any more. */
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
    unusedAccess(record).length > 0 ||
    !isDeepStrictEqual(applied.options.Disks, assignment.options.Disks)
  );
}

/** The disks that the VM has, in the words of its manifest when they are all that it wants. */
export function optionOfDisks(record: MachineRecord): RequestedOptions['Disks'] {
  const attached = record.disks.filter(({ state }) => state === 'attached');
  const isComplete = disksToDetach(record).length === 0 && disksToAttach(record).length === 0;
  if (isComplete) return record.assignment?.options.Disks;
  if (attached.length === 0) return undefined;
  return attached.map(({ name, path, readOnly, mountPath }) => ({
    name,
    path,
    readOnly,
    ...(mountPath !== undefined && { mountPath }),
  }));
}

/** The digest that the operator knows the options by, if they are what it wants. */
export function digestOf(options: RequestedOptions, assignment: Assignment | undefined): string {
  const isWanted = assignment !== undefined && sameOptions(options, assignment.options);
  return isWanted ? assignment.optionsDigest : optionsDigest(options);
}

function sameOptions(a: RequestedOptions, b: RequestedOptions): boolean {
  return isDeepStrictEqual(defined(a), defined(b));
}

/** A member that is undefined is one that is absent. */
function defined(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined));
}
