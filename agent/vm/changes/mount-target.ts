// Checks a mount path of a running VM before the guest is told to mount or unmount there. The guest agent deletes the
// target of a mount that fails. It also deletes the contents of a folder when it is told to unmount the folder and
// nothing is mounted there (docs/reference/hcs-runtime.md E.6). So the guest is asked first what is mounted.
import { mountPathsOverlap } from '../../../crds/spec/mount-paths.ts';
import { MachineFailure } from '../../failure.ts';
import { lookAt, type MountLook, type MountTarget, type RunInGuest } from '../../guest/bridge/mount-look.ts';
import type { VirtualMachineCore } from '../core.ts';
import type { VirtualMachineDisk } from '../record.ts';
import type { Situation } from '../situation.ts';

/** The most disks of one run that a guest may leave unanswered. With more, something is wrong with the guest. */
const maxRetiredSlots = 8;

const problems: Readonly<Record<Exclude<MountTarget, 'free'>, string>> = {
  mounted: 'something is mounted there already',
  mountedBelow: 'something is mounted below it',
  occupied: 'the guest has files there, which a mount that fails would delete: choose an empty folder',
  link: 'it leads through a symbolic link: name the folder itself',
};

/** Rejects with a `MachineFailure` when a mount at the path of the disk could delete something. */
export async function requireFreeTarget(
  vm: VirtualMachineCore,
  { changes, run }: Situation<'Running'>,
  { name, guestPath }: VirtualMachineDisk,
): Promise<void> {
  if (guestPath === undefined) return;
  const refuse = (problem: string) => new MachineFailure('DiskFailed', `disk ${name} at ${guestPath}: ${problem}`);
  const { disks, retiredSlots = [] } = vm.store.record;
  const other = disks.find((each) => each.name !== name && overlaps(each, guestPath));
  if (other !== undefined) throw refuse(`it is equal to, above or below the path of disk ${other.name}`);
  if (retiredSlots.length >= maxRetiredSlots) {
    throw refuse(`the guest has not answered for ${retiredSlots.length} disks; a restart of the VM helps`);
  }
  const look = await lookInGuest(vm, askUnlessLeaving({ changes, run }), guestPath, vm.ports.timeouts.mountLook);
  // The guest cannot be asked. If no earlier mount of this run used the path, the agent has nothing mounted there.
  if (look.kind === 'unknown') {
    if (retiredSlots.length === 0 && !changes.mountsFailed.has(guestPath)) return;
    throw refuse(`it is not known what is mounted there (${look.why}); a restart of the VM helps`);
  }
  if (look.target !== 'free') throw refuse(problems[look.target]);
}

function overlaps({ guestPath }: VirtualMachineDisk, path: string): boolean {
  return guestPath !== undefined && mountPathsOverlap(guestPath, path);
}

/** Whether the disk is mounted; `unknown` when the guest cannot be asked. */
export async function lookForMount(
  vm: VirtualMachineCore,
  ask: RunInGuest,
  { guestPath, name }: VirtualMachineDisk,
  milliseconds = vm.ports.timeouts.mountLook,
): Promise<'mounted' | 'notMounted' | 'unknown'> {
  if (guestPath === undefined) return 'notMounted';
  const look = await lookInGuest(vm, ask, guestPath, Math.min(milliseconds, vm.ports.timeouts.mountLook));
  if (look.kind === 'seen') return look.target === 'mounted' ? 'mounted' : 'notMounted';
  vm.ports.logger.info({ disk: name, why: look.why }, 'the guest cannot be asked for its mounts');
  return 'unknown';
}

/** Runs a command in a guest that may never answer. The wait ends as soon as the VM is to be stopped. */
export function askUnlessLeaving({ changes, run }: Pick<Situation<'Running'>, 'changes' | 'run'>): RunInGuest {
  return (command) => changes.leaving.unless(run.run(command));
}

async function lookInGuest(
  { ports, store }: VirtualMachineCore,
  ask: RunInGuest,
  path: string,
  milliseconds: number,
): Promise<MountLook> {
  if (store.record.applied?.execAllowed === false) {
    return { kind: 'unknown', why: 'the security policy of the VM lets nobody ask' };
  }
  return await lookAt(path, ask, ports.clock, milliseconds);
}
