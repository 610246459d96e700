// How a VM's record changes as the running VM does. Pure: each function gives the next record.
import { limits } from '../../../protocol/messages.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import { beginning } from '../../../runtime/beginning.ts';
import { Default } from '../../document/constants.ts';
import { roundedMemory } from '../../document/memory.ts';
import type { Applied } from '../../preparation/applied.ts';
import type { MachineRecord, Resource, VirtualMachineDisk } from '../record.ts';
import { digestOf, fileOf, optionOfDisks, withResource } from './options.ts';

/** Until it is seen to end, a crash leaves open whether the VM has the change. */
export function resourceBegun(record: MachineRecord, resource: Resource): MachineRecord {
  return { ...record, unsettled: [...new Set([...record.unsettled, resource])] };
}

/** `given` is what the change was worked out from; what is wanted may be something else by now. */
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

/** Unless all VMs share the access to its file, a disk needs access of the VM's own, to be taken back later. */
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

/** The guest may still mount what comes to the place of this disk. */
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

/** The options say which disks the VM has. */
export function disksSettled(record: MachineRecord, applied: Applied): MachineRecord {
  const { Disks: _, ...rest } = applied.options;
  const disks = optionOfDisks(record);
  const options = disks === undefined ? rest : { ...rest, Disks: disks };
  return { ...record, applied: { ...applied, options, optionsDigest: digestOf(options, record.assignment) } };
}
