// The boot image of all tenants, attached as a writable disk.
import { condition, isRunning, type RunningSystem } from '../../support/system/running-system.ts';
import { type Attack, broken, type Finding } from '../attack.ts';
import { attackedHost, attempt, disk } from '../path-attempts.ts';

const image = 'C:\\LinuxBootFiles\\vhd\\rootfs.vhd';
const spellings = [
  image,
  'c:/linuxbootfiles/VHD/rootfs.vhd',
  // Both paths lead to the image, from below an allowed folder.
  'C:\\disks\\to-boot\\vhd\\rootfs.vhd',
  'C:\\disks\\LINUXB~1\\vhd\\rootfs.vhd',
];
const bystander = 'boot-image-bystander';

export const bootImageWritable: Attack = {
  name: 'boot-image-writable',
  party: 'namespace editor',
  promise: 'The boot image is attached to no VM as a writable disk, neither at its start nor while it runs.',
  short: true,
  async run(target) {
    try {
      const atStart = await attempt(
        target,
        'boot-image',
        spellings.map((path) => ({ what: path, spec: disk(path, false) })),
      );
      return atStart.held ? await whileItRuns(target, atStart) : atStart;
    } finally {
      await target.kubectl(['delete', 'luvm', '--ignore-not-found', bystander]);
    }
  },
};

async function whileItRuns(target: RunningSystem, before: Finding): Promise<Finding> {
  await target.apply(bystander, { nodeName: attackedHost });
  await target.untilMachine(bystander, 'runs', isRunning);
  for (const path of spellings) {
    await target.apply(bystander, { nodeName: attackedHost, ...disk(path, false) });
    const told = await target.untilMachine(bystander, 'is told', (found) => {
      const ready = condition(found, 'Ready');
      return ready?.reason === 'PathNotAllowed' || (ready?.status === 'True' && found.status.observedGeneration !== 1);
    });
    if (condition(told, 'Ready')?.reason !== 'PathNotAllowed') return broken(`${path} was attached to a running VM`);
  }
  await using control = await usable(target);
  const touched = (await control.files()).find(({ path }) => path === image);
  const attached = (await control.systems()).flatMap(({ disks }) => Object.values(disks)).includes(image);
  const isGranted = touched?.isGranted === true || touched?.isReadable === true || touched?.grantedTo !== undefined;
  if (attached || isGranted) return broken(`the image is ${attached ? 'attached' : 'granted to a VM'}`);
  return { ...before, figure: `${before.figure}, and ${spellings.length} of ${spellings.length} on a running VM` };
}

async function usable(target: RunningSystem) {
  const control = await target.control(attackedHost);
  return {
    files: () => control.files(),
    systems: () => control.systems(),
    [Symbol.asyncDispose]: () => control.close(),
  };
}
