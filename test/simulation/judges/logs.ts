// No line of a guest's log is lost in silence: where numbers are missing in its file, the file says how many, there or
// soon after.
import type { SimulatedSystem } from '../system/system.ts';

/** Must not be asked where a loss of power can undo writes. A line for each log. */
export function silentGaps({ machines }: SimulatedSystem): readonly string[] {
  return machines.flatMap(({ disk, name }) => {
    const folders = disk.paths().filter((path) => /\/vms\/[0-9a-f-]{36}$/.test(path));
    return folders.flatMap((folder) => {
      const files = ['.3', '.2', '.1', ''].map((age) => disk.read(`${folder}/guest.log${age}`)?.toString() ?? '');
      const { missing, told } = lossesIn(files.join(''));
      return missing > told ? `${missing} lines are missing in ${folder} on ${name}, and it tells of ${told}` : [];
    });
  });
}

function lossesIn(log: string): { readonly missing: number; readonly told: number } {
  let [boot, next, missing, told] = [0, 0, 0, 0];
  for (const line of log.split('\n').slice(0, -1)) {
    told += Number(/^\[(\d+) lines were dropped/.exec(line)?.[1] ?? 0);
    const [, ofBoot, sequence] = /^(\d+)\.(\d+) /.exec(line) ?? [];
    if (sequence === undefined) continue;
    if (Number(ofBoot) !== boot) next = 0;
    boot = Number(ofBoot);
    missing += Number(sequence) - next;
    next = Number(sequence) + 1;
  }
  return { missing, told };
}
