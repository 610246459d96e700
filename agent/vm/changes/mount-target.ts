// Checks a mount path of a running VM before the guest is told to mount or unmount there. The guest agent deletes the
// target of a mount that fails. It also deletes the contents of a folder when it is told to unmount the folder and
// nothing is mounted there (docs/reference/hcs-runtime.md E.6). So the guest is asked first what is mounted.
import { mountPathsOverlap } from '../../../crds/spec/mount-paths.ts';
import { MachineFailure } from '../../failure.ts';
import { lookAt, type MountLook, type MountTarget, type RunInGuest } from '../../guest/bridge/mount-look.ts';
import type { VirtualMachineCore } from '../core.ts';
import type { MachineRecord } from '../record.ts';
import type { Situation } from '../situation.ts';

/** The most disks of one run that a guest may leave unanswered. With more, something is wrong with the guest. */
const maxRetiredSlots = 8;

const problems: Readonly<Record<Exclude<MountTarget, 'free'>, string>> = {
  mounted: 'something is mounted there already',
  mountedBelow: 'something is mounted below it',
  occupied: 'the guest has files there, which a mount that fails would delete: choose an empty folder',
  link: 'it leads through a symbolic link: name the folder itself',
};

/** A disk or a share, and where the guest mounts it. */
export interface MountPlace {
  readonly kind: 'disk' | 'share';
  readonly name: string;
  /** Absent: nowhere. */
  readonly guestPath?: string | undefined;
}

export function diskPlace({ guestPath, name }: Omit<MountPlace, 'kind'>): MountPlace {
  return { kind: 'disk', name, guestPath };
}

export function sharePlace({ guestPath, name }: Omit<MountPlace, 'kind'>): MountPlace {
  return { kind: 'share', name, guestPath };
}

/** Rejects with a `MachineFailure` when a mount at the path could delete something. */
export async function requireFreeTarget(
  vm: VirtualMachineCore,
  { changes, run }: Situation<'Running'>,
  place: MountPlace,
): Promise<void> {
  const { guestPath, kind, name } = place;
  if (guestPath === undefined) return;
  const reason = kind === 'disk' ? 'DiskFailed' : 'ShareFailed';
  const refuse = (problem: string) => new MachineFailure(reason, `${kind} ${name} at ${guestPath}: ${problem}`);
  const { retiredSlots = [] } = vm.store.record;
  const known = problemKnown(place, guestPath, vm.store.record);
  if (known !== undefined) throw refuse(known);
  const look = await lookInGuest(vm, askUnlessLeaving({ changes, run }), guestPath, vm.ports.timeouts.mountLook);
  // The guest cannot be asked. If no earlier mount of this run used the path, the agent has nothing mounted there.
  if (look.kind === 'unknown') {
    if (retiredSlots.length === 0 && !changes.mountsFailed.has(guestPath)) return;
    throw refuse(`it is not known what is mounted there (${look.why}); a restart of the VM helps`);
  }
  if (look.target !== 'free') throw refuse(problems[look.target]);
}

/** Why the record alone forbids the mount. */
function problemKnown(place: MountPlace, path: string, record: MachineRecord): string | undefined {
  const { disks, retiredPaths = [], retiredSlots = [], shares = [] } = record;
  const others = [...disks.map(diskPlace), ...shares.map(sharePlace)];
  const other = others.find((each) => !isSamePlace(each, place) && overlaps(each, path));
  if (other !== undefined) return `it is equal to, above or below the path of ${other.kind} ${other.name}`;
  if (retiredPaths.some((each) => mountPathsOverlap(each, path))) {
    return 'the guest may still be mounting an earlier share there; a restart of the VM helps';
  }
  if (retiredSlots.length < maxRetiredSlots) return undefined;
  return `the guest has not answered for ${retiredSlots.length} disks; a restart of the VM helps`;
}

function isSamePlace(a: MountPlace, b: MountPlace): boolean {
  return a.kind === b.kind && a.name === b.name;
}

function overlaps({ guestPath }: MountPlace, path: string): boolean {
  return guestPath !== undefined && mountPathsOverlap(guestPath, path);
}

/** Whether the disk or share is mounted; `unknown` when the guest cannot be asked. */
export async function lookForMount(
  vm: VirtualMachineCore,
  ask: RunInGuest,
  { guestPath, kind, name }: MountPlace,
  milliseconds = vm.ports.timeouts.mountLook,
): Promise<'mounted' | 'notMounted' | 'unknown'> {
  if (guestPath === undefined) return 'notMounted';
  const look = await lookInGuest(vm, ask, guestPath, Math.min(milliseconds, vm.ports.timeouts.mountLook));
  if (look.kind === 'seen') return look.target === 'mounted' ? 'mounted' : 'notMounted';
  vm.ports.logger.info({ [kind]: name, why: look.why }, 'the guest cannot be asked for its mounts');
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
