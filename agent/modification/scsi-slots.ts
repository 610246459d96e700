// Chooses the slot of a disk (hcs-runtime B.6), the lowest free controller and its lowest free LUN, and the mount path
// of a disk without one.
import { Limit } from '../document/constants.ts';
import type { ScsiSlot } from './scsi.ts';

const lunsPerController = 64;

/** Undefined when every slot of the VM's controllers is taken. */
export function firstFreeSlot(controllers: number, taken: readonly ScsiSlot[]): ScsiSlot | undefined {
  const places = new Set(taken.map(placeOf));
  for (let controller = 0; controller < Math.min(controllers, Limit.ScsiControllers); controller += 1) {
    for (let lun = 0; lun < lunsPerController; lun += 1) {
      if (!places.has(placeOf({ controller, lun }))) return { controller, lun };
    }
  }
  return undefined;
}

function placeOf({ controller, lun }: ScsiSlot): string {
  return `${controller}:${lun}`;
}

export function firstFreeMountPath(taken: ReadonlySet<string>): string {
  for (let index = 0; ; index += 1) {
    const path = `/run/mounts/scsi/m${index}`;
    if (!taken.has(path)) return path;
  }
}
