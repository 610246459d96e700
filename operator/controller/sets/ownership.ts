// Which VMs are a set's own (design §13): those that it controls and that have its label. Without the label a VM is
// released; a VM with the label, a wanted name and no controller is adopted.
import { setLabel } from '../../../crds/linux-utility-vm.ts';
import { machineName, ordinalOf } from '../../../sets/ordinals.ts';
import type { MachineSet, VirtualMachine } from '../../kubernetes/objects.ts';

export interface Member {
  readonly object: VirtualMachine;
  readonly ordinal: number;
}

export interface Members {
  readonly own: readonly Member[];
  readonly toAdopt: readonly VirtualMachine[];
  readonly toRelease: readonly VirtualMachine[];
  /** Wanted ordinals whose name an object has that is not the set's. */
  readonly taken: ReadonlySet<number>;
}

export function membersOf(
  set: MachineSet,
  candidates: Iterable<VirtualMachine>,
  wanted: readonly number[],
  named: (name: string) => VirtualMachine | undefined,
): Members {
  const own: Member[] = [];
  const toAdopt: VirtualMachine[] = [];
  const toRelease: VirtualMachine[] = [];
  const isWanted = new Set(wanted);
  const known = new Set<string>();
  for (const object of candidates) {
    const ordinal = ordinalOf(set.metadata.name, object.metadata.name);
    const claim = claimOf(set, object);
    if (claim === 'Own' && ordinal !== undefined) own.push({ object, ordinal });
    else if (claim === 'Own' || claim === 'Unlabelled') toRelease.push(object);
    else if (claim === 'Free' && ordinal !== undefined && isWanted.has(ordinal)) toAdopt.push(object);
    else continue;
    known.add(object.metadata.uid);
  }
  const taken = wanted.filter((ordinal) => {
    const object = named(machineName(set.metadata.name, ordinal));
    return object !== undefined && !known.has(object.metadata.uid);
  });
  return { own, toAdopt, toRelease, taken: new Set(taken) };
}

type Claim = 'Own' | 'Unlabelled' | 'Free' | 'Foreign';

export function claimOf({ metadata: { name, uid } }: MachineSet, { metadata }: VirtualMachine): Claim {
  const controller = metadata.ownerReferences?.find((reference) => reference.controller === true);
  const isLabelled = metadata.labels?.[setLabel] === name;
  if (controller?.uid === uid) return isLabelled ? 'Own' : 'Unlabelled';
  const isFree = controller === undefined && isLabelled && metadata.deletionTimestamp === undefined;
  return isFree ? 'Free' : 'Foreign';
}
