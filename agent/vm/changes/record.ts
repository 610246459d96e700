// Changes of a VM's record that go with live changes of the VM. Pure: each function returns the next record.
import { limits } from '../../../protocol/messages.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import { beginning } from '../../../runtime/beginning.ts';
import { Default } from '../../document/constants.ts';
import { roundedMemory } from '../../document/memory.ts';
import type { Applied } from '../../preparation/applied.ts';
import type { MachineRecord, Resource, VirtualMachineDisk, VirtualMachineShare } from '../record.ts';
import { digestOf, fileOf, optionOfDisks, withResource } from './options.ts';
import { optionOfShares } from './share-options.ts';

/** Marks the resource as unsettled: if the agent crashes now, it is not known whether the VM has the change. */
export function resourceBegun(record: MachineRecord, resource: Resource): MachineRecord {
  return { ...record, unsettled: [...new Set([...record.unsettled, resource])] };
}

/** `given`: the options from which the change was computed. The wanted options may differ by now. */
export function resourceSet(
  record: MachineRecord,
  applied: Applied,
  resource: Resource,
  given: RequestedOptions,
): MachineRecord {
  const options = withResource(applied.options, given, resource);
  const memory = resource === 'memory' && memoryFacts(applied, given);
  return {
    ...record,
    unsettled: record.unsettled.filter((each) => each !== resource),
    applied: { ...applied, options, optionsDigest: digestOf(options, record.assignment), ...memory },
  };
}

function memoryFacts(applied: Applied, given: RequestedOptions): Pick<Applied, 'memorySizeInMB' | 'warnings'> {
  const before = memoryOf(applied.options).warning;
  const { sizeInMB, warning } = memoryOf(given);
  const others = applied.warnings.filter((each) => each !== before);
  const warnings = warning === undefined ? others : [...others.slice(0, limits.warnings - 1), warning];
  return { memorySizeInMB: sizeInMB, warnings };
}

export function memoryOf({ MemorySizeInMB }: RequestedOptions) {
  const requested = MemorySizeInMB === undefined ? Default.MemorySizeInMB : BigInt(MemorySizeInMB);
  const { sizeInMB, warning } = roundedMemory(requested);
  return { sizeInMB: Number(sizeInMB), warning: warning && beginning(warning, limits.warningChars) };
}

/** Records the disk. Unless all VMs share access to its file, the VM gets its own access, which is revoked later. */
export function diskBegun(record: MachineRecord, disk: VirtualMachineDisk, isShared: boolean): MachineRecord {
  const file = fileOf(disk);
  const isKnown = record.acquired.some(({ kind, path }) => kind === 'access' && path === file);
  const access = isShared || isKnown ? [] : [{ kind: 'access' as const, path: file }];
  return { ...record, acquired: [...record.acquired, ...access], disks: [...record.disks, disk] };
}

export function diskIn(record: MachineRecord, name: string, state: VirtualMachineDisk['state']): MachineRecord {
  const disks = record.disks.map((disk) => (disk.name === name ? { ...disk, state } : disk));
  return { ...record, disks };
}

export function diskGone(record: MachineRecord, name: string): MachineRecord {
  return { ...record, disks: record.disks.filter((disk) => disk.name !== name) };
}

/** Retires the place of a disk: the guest may still mount whatever is attached there. */
export function slotRetired(record: MachineRecord, { controller, lun }: VirtualMachineDisk): MachineRecord {
  return { ...record, retiredSlots: [...(record.retiredSlots ?? []), { controller, lun }] };
}

export function slotFreed(record: MachineRecord, { controller, lun }: VirtualMachineDisk): MachineRecord {
  const { retiredSlots = [], ...rest } = record;
  const others = retiredSlots.filter((slot) => slot.controller !== controller || slot.lun !== lun);
  return others.length === 0 ? rest : { ...rest, retiredSlots: others };
}

export function accessRevoked(record: MachineRecord, path: string): MachineRecord {
  const acquired = record.acquired.filter((each) => each.kind !== 'access' || each.path !== path);
  return { ...record, acquired };
}

/** Records the share and that its number is used, whatever becomes of it. */
export function shareBegun(record: MachineRecord, share: VirtualMachineShare): MachineRecord {
  return { ...record, shares: [...(record.shares ?? []), share], nextShare: share.number + 1 };
}

export function shareIn(record: MachineRecord, name: string, state: VirtualMachineShare['state']): MachineRecord {
  const shares = (record.shares ?? []).map((share) => (share.name === name ? { ...share, state } : share));
  return { ...record, shares };
}

export function shareGone(record: MachineRecord, name: string): MachineRecord {
  const { shares = [], ...rest } = record;
  const others = shares.filter((share) => share.name !== name);
  return others.length === 0 ? rest : { ...rest, shares: others };
}

export function pathRetired(record: MachineRecord, { guestPath }: VirtualMachineShare): MachineRecord {
  return { ...record, retiredPaths: [...new Set([...(record.retiredPaths ?? []), guestPath])] };
}

/** Puts the disks and shares that the VM has into its options. */
export function storageSettled(record: MachineRecord, applied: Applied): MachineRecord {
  const { Disks: _disks, Shares: _shares, ...rest } = applied.options;
  const disks = optionOfDisks(record);
  const shares = optionOfShares(record);
  const options = {
    ...rest,
    ...(disks !== undefined && { Disks: disks }),
    ...(shares !== undefined && { Shares: shares }),
  };
  return { ...record, applied: { ...applied, options, optionsDigest: digestOf(options, record.assignment) } };
}
