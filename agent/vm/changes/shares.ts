// Adds and removes shares of a running VM. The journal has a share and its number before the first call for it, and keeps
// them until nothing is left of the share. Each share has a number of its own, so a request that the guest has not
// answered never reaches another share.
//
//   adding    HCS may have the share; the guest was not asked
//   mounting  the guest may have mounted it, or may do so later
//   attached  it is mounted
//   removing  the guest may have it no more
//
// If an agent died while it added a share, or the guest did not answer, the guest is asked first: a mounted share is
// kept. Any other share is removed. If its mount may still come, and fail, the guest would delete what is at the path by
// then. So nothing is mounted at this path again in this run.
import { MachineFailure } from '../../failure.ts';
import { type ChangeTarget, mayHaveHappened, modifyDocument } from '../../modification/document.ts';
import { type ShareChange, shareAddition, shareRemoval } from '../../modification/plan9.ts';
import { HcsError } from '../../node/hcs-error.ts';
import type { WantedShare } from '../../preparation/paths/share-names.ts';
import type { VirtualMachineCore } from '../core.ts';
import type { VirtualMachineShare } from '../record.ts';
import { requireReservedShare } from '../reserving.ts';
import type { Situation } from '../situation.ts';
import { nothingThere } from './disks.ts';
import { askUnlessLeaving, lookForMount, requireFreeTarget, sharePlace } from './mount-target.ts';
import * as changed from './record.ts';
import { isWantedShare } from './share-options.ts';

/** A change of a guest that can be asked. */
type ShareTarget = Required<Pick<ChangeTarget, 'host'>> & { readonly guest: NonNullable<ChangeTarget['guest']> };

export async function addShare(
  vm: VirtualMachineCore,
  running: Situation<'Running'>,
  wanted: WantedShare,
  { guest, host }: ChangeTarget,
): Promise<void> {
  const { store } = vm;
  const share = await begun(vm, wanted);
  try {
    await store.write();
    if (guest === undefined) throw new MachineFailure('ShareFailed', withoutConnection(share));
    await requireFreeTarget(vm, running, sharePlace(share));
    await mount(vm, share, { host, guest });
  } catch (error) {
    running.changes.mountsFailed.add(share.guestPath);
    const { state } = store.record.shares?.find(({ name }) => name === share.name) ?? share;
    if (state !== 'removing' && !mayHaveHappened(error)) store.change(changed.shareGone, share.name);
    throw error;
  }
  store.change(changed.shareIn, share.name, 'attached');
  await store.write();
}

/** Checks the share and records it. */
async function begun(vm: VirtualMachineCore, wanted: WantedShare): Promise<VirtualMachineShare> {
  const { ports, store } = vm;
  const { assignment, applied } = store.record;
  if (assignment === undefined) throw new MachineFailure('ChangeFailed', 'nothing was assigned');
  const finalPath = await vm.bounded('query', 'CreateFileW', () => ports.admitShare(assignment, wanted));
  requireReservedShare(vm, wanted, finalPath);
  if (!wanted.readOnly && applied?.options.NoWritableFileShares === true) {
    const why = 'the VM was started with disableWritable; a restart of the VM helps';
    throw new MachineFailure('ShareFailed', `share ${wanted.name}: ${why}`);
  }
  const { guestPath, name, path, readOnly } = wanted;
  const places = { path, ...(finalPath !== path && { finalPath }) };
  const share = { name, ...places, readOnly, guestPath, number: store.record.nextShare ?? 0, state: 'adding' as const };
  store.change(changed.shareBegun, share);
  return share;
}

function withoutConnection({ name }: VirtualMachineShare): string {
  return `share ${name}: the VM was started without a connection to its guest; a restart of the VM helps`;
}

async function mount(vm: VirtualMachineCore, share: VirtualMachineShare, target: ShareTarget): Promise<void> {
  const { store } = vm;
  const { guestPath, readOnly } = share;
  const addition = shareAddition(wireName(share), { hostPath: folderOf(share), guestPath, readOnly });
  await target.host(modifyDocument(addition.host));
  try {
    store.change(changed.shareIn, share.name, 'mounting');
    await store.write();
    await target.guest(addition.guest);
  } catch (error) {
    // The guest may still be mounting the share, so HCS does not remove it.
    if (!mayHaveHappened(error)) await undo(vm, share, addition, target);
    throw error;
  }
}

/** As the original does it, HCS removes the share with the settings of the addition. */
async function undo(
  { ports, store }: VirtualMachineCore,
  share: VirtualMachineShare,
  { host }: ShareChange,
  target: ShareTarget,
): Promise<void> {
  try {
    await target.host(modifyDocument({ ...host, requestType: 'Remove' }));
  } catch (error) {
    store.change(changed.shareIn, share.name, 'removing');
    ports.logger.warn({ share: share.name, error: String(error) }, 'a share was left behind');
  }
}

export async function removeShare(
  vm: VirtualMachineCore,
  running: Situation<'Running'>,
  share: VirtualMachineShare,
  target: ChangeTarget,
): Promise<void> {
  const { store } = vm;
  const { name, state } = share;
  const seen = state === 'adding' ? 'notMounted' : await lookForMount(vm, askUnlessLeaving(running), sharePlace(share));
  if (state === 'mounting' && seen === 'mounted' && isWantedShare(share, store.record)) {
    store.change(changed.shareIn, name, 'attached');
    return await store.write();
  }
  if (state !== 'attached' && seen === 'unknown') {
    const message = `share ${name}: it is not known whether it is mounted at ${share.guestPath}; a restart of the VM helps`;
    throw new MachineFailure('ShareFailed', message);
  }
  if (state === 'mounting' && seen === 'notMounted') store.change(changed.pathRetired, share);
  store.change(changed.shareIn, name, 'removing');
  await store.write();
  await takeOff(share, seen !== 'notMounted', target);
  store.change(changed.shareGone, name);
  await store.write();
}

/** When nothing is mounted at a path that it unmounts, the guest agent deletes what is there. */
async function takeOff(share: VirtualMachineShare, isMounted: boolean, target: ChangeTarget): Promise<void> {
  const removal = removalOf(share);
  if (isMounted) await target.guest?.(removal.guest);
  try {
    await target.host(modifyDocument(removal.host));
  } catch (error) {
    const wasNotThere = share.state !== 'attached' && error instanceof HcsError && nothingThere.has(error.hresult);
    if (!wasNotThere) throw error;
  }
}

export function removalOf(share: VirtualMachineShare): ShareChange {
  return shareRemoval({ name: wireName(share), guestPath: share.guestPath });
}

function wireName({ number }: VirtualMachineShare): string {
  return String(number);
}

function folderOf({ finalPath, path }: VirtualMachineShare): string {
  return finalPath ?? path;
}
