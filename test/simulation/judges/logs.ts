// No line of a guest's log is lost in silence: where numbers are missing in its file, the file says how many.
import type { SimulatedSystem } from '../system/system.ts';

/** Must not be asked where a loss of power can undo writes. A line for each gap. */
export function silentGaps({ machines }: SimulatedSystem): readonly string[] {
  return machines.flatMap(({ disk, name }) => {
    const folders = disk.paths().filter((path) => /\/vms\/[0-9a-f-]{36}$/.test(path));
    return folders.flatMap((folder) => {
      const files = ['.3', '.2', '.1', ''].map((age) => disk.read(`${folder}/guest.log${age}`)?.toString() ?? '');
      return gapsIn(files.join('')).map((gap) => `${folder} on ${name}: ${gap}`);
    });
  });
}

function gapsIn(log: string): readonly string[] {
  const gaps: string[] = [];
  let [boot, next, told] = [0, 0, 0];
  for (const line of log.split('\n').slice(0, -1)) {
    told += Number(/^\[(\d+) lines were dropped/.exec(line)?.[1] ?? 0);
    const [, ofBoot, sequence] = /^(\d+)\.(\d+) /.exec(line) ?? [];
    if (sequence === undefined) continue;
    if (Number(ofBoot) !== boot) next = 0;
    boot = Number(ofBoot);
    const missing = Number(sequence) - next;
    if (missing > told) gaps.push(`${missing} lines are missing before ${line.slice(0, 80)}, and ${told} are told of`);
    [next, told] = [Number(sequence) + 1, 0];
  }
  return gaps;
}
