// The steps of the stop ladder that concern disks and shares (`stop-ladder.ts`). Each step uses at most the time that is left.
import { delay } from '../../../runtime/clock.ts';
import { messageOf } from '../../../runtime/error-text.ts';
import { fixedTimes } from '../../bounds/timeouts.ts';
import type { GuestModification } from '../../guest/bridge/guest-modification.ts';
import { emergencyCommand, readOnlyCommand, syncCommand } from '../../guest/bridge/leaving-scripts.ts';
import { inTime } from '../../guest/bridge/mount-look.ts';
import type { GuestCommand } from '../../guest/bridge/process-request.ts';
import { askGuest, type ChangeTarget } from '../../modification/document.ts';
import { unmountDisk } from '../../modification/scsi.ts';
import type { GuestRun } from '../../run/guest-run.ts';
import { scsiDisk } from '../changes/disks.ts';
import { diskPlace, lookForMount, sharePlace } from '../changes/mount-target.ts';
import { removalOf } from '../changes/shares.ts';
import type { VirtualMachineCore } from '../core.ts';
import { isShare, type LeftMount, leftOf, type Saved, type StopMount } from './stop-report.ts';

export interface LeavingRun {
  readonly vm: VirtualMachineCore;
  readonly run: GuestRun;
  /** The step must be over at this time (ms since the epoch). */
  readonly end: number;
}

/** The guest may run at most 64 processes for the agent. */
const disksAtOnce = 16;

/** Resolves with the mounts that are, or may be, still there. Shares are unmounted before disks. */
export async function unmountAll(leaving: LeavingRun, mounts: readonly StopMount[]): Promise<readonly LeftMount[]> {
  const left: LeftMount[] = [];
  for (const group of inOrder(mounts)) {
    for (let first = 0; first < group.length; first += disksAtOnce) {
      const some = group.slice(first, first + disksAtOnce);
      const whys = await Promise.all(some.map((mount) => unmount(leaving, mount)));
      left.push(
        ...some.flatMap((mount, index) => (whys[index] === undefined ? [] : [{ ...leftOf(mount), why: whys[index] }])),
      );
    }
  }
  return left;
}

function inOrder(mounts: readonly StopMount[]): readonly (readonly StopMount[])[] {
  const disks = mounts.filter((mount) => !isShare(mount));
  return [...deepestFirst(mounts.filter(isShare)), ...deepestFirst(disks)];
}

/** Groups of mounts whose paths have equal depth, the deepest first. */
function deepestFirst(mounts: readonly StopMount[]): readonly (readonly StopMount[])[] {
  const groups = Map.groupBy(mounts, ({ guestPath = '' }) => guestPath.split('/').length);
  return [...groups].sort(([a], [b]) => b - a).map(([, group]) => group);
}

/** Why the disk or share stays mounted; undefined when it does not. */
async function unmount(leaving: LeavingRun, mount: StopMount): Promise<string | undefined> {
  const { run, vm } = leaving;
  if (mount.guestPath === undefined) return undefined;
  if (timeLeft(leaving) === 0) return 'there was no time left';
  const place = isShare(mount) ? sharePlace(mount) : diskPlace(mount);
  const seen = await lookForMount(vm, (command) => run.run(command), place, timeLeft(leaving));
  if (seen === 'notMounted') return undefined;
  if (seen === 'unknown' && mount.state !== 'attached') return 'it is not known whether it is mounted';
  const host = () => Promise.reject(new Error('only the guest is asked'));
  const guest = (modification: GuestModification) => run.modify(modification, timeLeft(leaving));
  try {
    await unmountIn(mount, { host, guest });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

async function unmountIn(mount: StopMount, target: ChangeTarget): Promise<void> {
  if (isShare(mount)) return await askGuest(removalOf(mount).guest, target);
  const disk = scsiDisk(mount);
  if (disk.mount !== undefined) await unmountDisk(disk.attachment, disk.mount, target);
}

/** Writes cached data to the disks that could not be unmounted; with an empty list, to all disks of the guest. */
export async function saveLeft(leaving: LeavingRun, left: readonly LeftMount[]): Promise<Saved> {
  const { vm } = leaving;
  if (vm.store.record.applied?.execAllowed === false) {
    return { kind: 'not', why: 'the security policy of the VM lets nobody ask the guest for it' };
  }
  const disks = left.filter((mount) => !mount.isShare);
  const areReadOnly = disks.length > 0 && (await isMadeReadOnly(leaving, disks));
  if (areReadOnly && disks.length === left.length) return { kind: 'readOnly' };
  try {
    const code = await ask(leaving, syncCommand);
    return code === 0 ? { kind: 'written' } : { kind: 'not', why: `sync ended with exit code ${code}` };
  } catch (error) {
    return { kind: 'not', why: messageOf(error) };
  }
}

async function isMadeReadOnly(leaving: LeavingRun, left: readonly LeftMount[]): Promise<boolean> {
  try {
    return (await ask(leaving, emergencyCommand)) === 0 && (await becameReadOnly(leaving, left));
  } catch (error) {
    leaving.vm.ports.logger.info({ error: messageOf(error) }, 'the guest has no emergency functions');
    return false;
  }
}

/** Ends early enough to leave time for `sync`. */
async function becameReadOnly(leaving: LeavingRun, left: readonly LeftMount[]): Promise<boolean> {
  const { clock } = leaving.vm.ports;
  const patience = timeLeft(leaving) / 2;
  const isReadOnly = readOnlyCommand(left.map(({ path }) => path));
  while (timeLeft(leaving) > patience) {
    if ((await ask(leaving, isReadOnly)) === 0) return true;
    await delay(clock, fixedTimes.vm.readOnlyLook);
  }
  return false;
}

function ask(leaving: LeavingRun, command: GuestCommand): Promise<number> {
  return inTime(leaving.run.run(command), leaving.vm.ports.clock, timeLeft(leaving));
}

/** Milliseconds. */
function timeLeft({ end, vm }: LeavingRun): number {
  return Math.max(0, end - vm.ports.clock.now());
}
