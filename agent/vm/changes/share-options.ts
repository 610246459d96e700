// Decides which shares of a running VM are removed and added. Pure: compares the shares that the VM has with the wanted
// ones. A share that changes is removed and added again, under another number.
import { isDeepStrictEqual } from 'node:util';
import type { RequestedOptions } from '../../../protocol/options.ts';
import type { WantedShare } from '../../preparation/paths/share-names.ts';
import type { MachineRecord, VirtualMachineShare } from '../record.ts';

/** Shares that are not wanted, or wanted with other options, or not known to be mounted. */
export function sharesToRemove(record: MachineRecord): readonly VirtualMachineShare[] {
  return (record.shares ?? []).filter((share) => share.state !== 'attached' || !isWantedShare(share, record));
}

export function isWantedShare(share: VirtualMachineShare, { assignment }: MachineRecord): boolean {
  return assignment?.options.Shares?.some((each) => isDeepStrictEqual({ ...each }, wantedOf(share))) === true;
}

/** Wanted shares whose name is free. A name is free again once the share that had it is gone. */
export function sharesToAdd({ assignment, shares = [] }: MachineRecord): readonly WantedShare[] {
  const wanted = assignment?.options.Shares ?? [];
  return wanted.filter(({ name }) => !shares.some((share) => share.name === name));
}

/** The shares that the VM has as an option. It equals the manifest's option when exactly the wanted ones are there. */
export function optionOfShares(record: MachineRecord): RequestedOptions['Shares'] {
  const isComplete = sharesToRemove(record).length === 0 && sharesToAdd(record).length === 0;
  if (isComplete) return record.assignment?.options.Shares;
  const attached = (record.shares ?? []).filter(({ state }) => state === 'attached');
  return attached.length === 0 ? undefined : attached.map(wantedOf);
}

function wantedOf({ guestPath, name, path, readOnly }: VirtualMachineShare): WantedShare {
  return { name, path, readOnly, guestPath };
}
