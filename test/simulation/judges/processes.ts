// The process of a VM is started once at most in each run, however often agents die; its exit code is never invented;
// and a VM with a process has ended well only when the process has.
import { isObject } from '../../../crds/structural.ts';
import type { Write } from '../api-server/store.ts';
import { exitCodeOf, firstWord } from '../processes.ts';
import type { SimulatedSystem } from '../system/system.ts';
import { BrokenInvariant } from './broken-invariant.ts';
import { conditionOf } from './stored-condition.ts';

/** Of a program that a signal ended: as the guest agent says it, and as a shell does for TERM and KILL. */
const ofSignals: readonly unknown[] = [255, 143, 137];

/** At each write to the API server. No user changes the process of a VM. */
export function judgeProcess({ after, kind }: Write): void {
  if (kind !== 'LinuxUtilityVM' || after === undefined) return;
  const { spec, status } = after;
  const wanted = isObject(spec) ? spec['process'] : undefined;
  if (!isObject(wanted) || !Array.isArray(wanted['command']) || !isObject(status)) return;
  const process = isObject(status['process']) ? status['process'] : {};
  const { exitCode, state } = process;
  const { name } = after.metadata;
  if (state === 'Exited' && exitCode !== exitCodeOf(wanted['command']) && !ofSignals.includes(exitCode)) {
    throw new BrokenInvariant('no exit code is invented', `${name} has ${exitCode} of ${wanted['command'].join(' ')}`);
  }
  const isCompleted = conditionOf(after, 'Ready')?.['reason'] === 'Completed';
  if (isCompleted && state !== undefined && !(state === 'Exited' && exitCode === 0)) {
    throw new BrokenInvariant(
      'only 0 is a good end',
      `${name} is Completed, and its process ${JSON.stringify(process)}`,
    );
  }
}

/** A line for each run of a VM in whose log a process begins more than once. */
export function startedTwice({ machines }: SimulatedSystem): readonly string[] {
  return machines.flatMap(({ disk, name }) => {
    const folders = disk.paths().filter((path) => /\/vms\/[0-9a-f-]{36}$/.test(path));
    return folders.flatMap((folder) => {
      const files = ['.3', '.2', '.1', ''].map((age) => disk.read(`${folder}/guest.log${age}`)?.toString() ?? '');
      const begun = new RegExp(`^(\\d+)\\.\\d+ \\S+ info ${firstWord} source=process$`, 'gm');
      const boots = [...files.join('').matchAll(begun)].map(([, boot]) => boot);
      const twice = boots.filter((boot, index) => boots.indexOf(boot) !== index);
      return twice.map((boot) => `run ${boot} in ${folder} on ${name}`);
    });
  });
}
