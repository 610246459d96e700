// What an agent stages and grants for a run of a VM is gone when the VM does not run: the copies of boot files in the
// VM's folder, the access of the group of all VMs to them, and the VM's own access to its disks.
import { uidOf } from '../../../agent/node/system-id.ts';
import type { SimulatedSystem } from '../system/system.ts';

/** What is left on a host of VMs that do not run there, a line each. Nobody cleans a machine that is off. */
export function leftOfRuns({ machines }: SimulatedSystem): readonly string[] {
  return machines.flatMap(({ host, isOff, name }) => {
    if (isOff) return [];
    const living = new Set(host.living().map(({ uid }) => uid));
    return host.files.table.entries().flatMap(({ grantedTo = [], isGranted, path }) => {
      const uid = /\\vms\\([0-9a-f-]{36})\\/i.exec(path)?.[1];
      const others = grantedTo.filter((id) => !living.has(uidOf(id)));
      return [
        ...(uid !== undefined && !living.has(uid) ? [`${name} keeps ${path}, and the VM does not run there`] : []),
        ...(uid === undefined && isGranted ? [`on ${name} all VMs have access to ${path}`] : []),
        ...others.map((id) => `on ${name} ${id} has access to ${path}, and does not run there`),
      ];
    });
  });
}
