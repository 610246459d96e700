// The disks and shares of a running VM. Everything that it no longer wants is removed before anything is added, because
// a path in the guest, or a place on a controller, may be used again.
import type { ChangeTarget } from '../../modification/document.ts';
import type { VirtualMachineCore } from '../core.ts';
import { reserveStorage } from '../reserving.ts';
import type { Situation } from '../situation.ts';
import { attach, detach } from './disks.ts';
import { disksToAttach, disksToDetach } from './options.ts';
import { sharesToAdd, sharesToRemove } from './share-options.ts';
import { addShare, removeShare } from './shares.ts';

export interface StorageChange {
  readonly vm: VirtualMachineCore;
  readonly running: Situation<'Running'>;
  readonly target: ChangeTarget;
  /** Keeps a failure of one disk or share, so that the others follow. Rejects when nothing can follow. */
  readonly attempt: (what: 'DiskFailed' | 'ShareFailed', make: () => Promise<void>) => Promise<void>;
}

export async function removeUnwanted({ attempt, running, target, vm }: StorageChange): Promise<void> {
  for (const share of sharesToRemove(vm.store.record)) {
    await attempt('ShareFailed', () => removeShare(vm, running, share, target));
  }
  for (const disk of disksToDetach(vm.store.record)) {
    await attempt('DiskFailed', () => detach(vm, running, disk, target));
  }
}

/** Rejects when the VM has to wait for a disk or folder that another VM uses. */
export async function addWanted({ attempt, running, target, vm }: StorageChange): Promise<void> {
  const { leaving } = running.changes;
  const disks = disksToAttach(vm.store.record);
  const shares = sharesToAdd(vm.store.record);
  if (disks.length + shares.length === 0) return;
  await reserveStorage(vm);
  for (const disk of disks) {
    if (!leaving.isWanted) await attempt('DiskFailed', () => attach(vm, running, disk, target));
  }
  for (const share of shares) {
    if (!leaving.isWanted) await attempt('ShareFailed', () => addShare(vm, running, share, target));
  }
}
