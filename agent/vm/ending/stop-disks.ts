// The steps of the stop ladder that concern disks (`stop-ladder.ts`). Each step uses at most the time that is left.
import { delay } from '../../../runtime/clock.ts';
import { messageOf } from '../../../runtime/error-text.ts';
import { fixedTimes } from '../../bounds/timeouts.ts';
import type { GuestModification } from '../../guest/bridge/guest-modification.ts';
import { emergencyCommand, readOnlyCommand, syncCommand } from '../../guest/bridge/leaving-scripts.ts';
import { inTime } from '../../guest/bridge/mount-look.ts';
import type { GuestCommand } from '../../guest/bridge/process-request.ts';
import { unmountDisk } from '../../modification/scsi.ts';
import type { GuestRun } from '../../run/guest-run.ts';
import { scsiDisk } from '../changes/disks.ts';
import { lookForMount } from '../changes/mount-target.ts';
import type { VirtualMachineCore } from '../core.ts';
import type { VirtualMachineDisk } from '../record.ts';
import { type LeftDisk, leftOf, type Saved } from './stop-report.ts';

export interface LeavingRun {
  readonly vm: VirtualMachineCore;
  readonly run: GuestRun;
  /** The step must be over at this time (ms since the epoch). */
  readonly end: number;
}

/** The guest may run at most 64 processes for the agent. */
const disksAtOnce = 16;

/** Resolves with the disks that are, or may be, still mounted. */
export async function unmountAll(
  leaving: LeavingRun,
  disks: readonly VirtualMachineDisk[],
): Promise<readonly LeftDisk[]> {
  const left: LeftDisk[] = [];
  for (const group of deepestFirst(disks)) {
    for (let first = 0; first < group.length; first += disksAtOnce) {
      const some = group.slice(first, first + disksAtOnce);
      const whys = await Promise.all(some.map((disk) => unmount(leaving, disk)));
      left.push(
        ...some.flatMap((disk, index) => (whys[index] === undefined ? [] : [{ ...leftOf(disk), why: whys[index] }])),
      );
    }
  }
  return left;
}

/** Groups of disks whose mount paths have equal depth, the deepest first. */
function deepestFirst(disks: readonly VirtualMachineDisk[]): readonly (readonly VirtualMachineDisk[])[] {
  const groups = Map.groupBy(disks, ({ guestPath = '' }) => guestPath.split('/').length);
  return [...groups].sort(([a], [b]) => b - a).map(([, group]) => group);
}

/** Why the disk stays mounted; undefined when it does not. */
async function unmount(leaving: LeavingRun, disk: VirtualMachineDisk): Promise<string | undefined> {
  const { run, vm } = leaving;
  const { attachment, mount } = scsiDisk(disk);
  if (mount === undefined) return undefined;
  if (timeLeft(leaving) === 0) return 'there was no time left';
  const seen = await lookForMount(vm, (command) => run.run(command), disk, timeLeft(leaving));
  if (seen === 'notMounted') return undefined;
  if (seen === 'unknown' && disk.state !== 'attached') return 'it is not known whether it is mounted';
  const host = () => Promise.reject(new Error('only the guest is asked'));
  const guest = (modification: GuestModification) => run.modify(modification, timeLeft(leaving));
  try {
    await unmountDisk(attachment, mount, { host, guest });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** Writes cached data to the disks that could not be unmounted; with an empty list, to all disks of the guest. */
export async function saveLeft(leaving: LeavingRun, left: readonly LeftDisk[]): Promise<Saved> {
  const { vm } = leaving;
  if (vm.store.record.applied?.execAllowed === false) {
    return { kind: 'not', why: 'the security policy of the VM lets nobody ask the guest for it' };
  }
  if (left.length > 0 && (await isMadeReadOnly(leaving, left))) return { kind: 'readOnly' };
  try {
    const code = await ask(leaving, syncCommand);
    return code === 0 ? { kind: 'written' } : { kind: 'not', why: `sync ended with exit code ${code}` };
  } catch (error) {
    return { kind: 'not', why: messageOf(error) };
  }
}

async function isMadeReadOnly(leaving: LeavingRun, left: readonly LeftDisk[]): Promise<boolean> {
  try {
    return (await ask(leaving, emergencyCommand)) === 0 && (await becameReadOnly(leaving, left));
  } catch (error) {
    leaving.vm.ports.logger.info({ error: messageOf(error) }, 'the guest has no emergency functions');
    return false;
  }
}

/** Ends early enough to leave time for `sync`. */
async function becameReadOnly(leaving: LeavingRun, left: readonly LeftDisk[]): Promise<boolean> {
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
