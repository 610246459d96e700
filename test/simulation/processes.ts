// The processes of VMs: jobs that end after a while with a known exit code, and services.
import type { LinuxUtilityVMManifestSpec } from '../../crds/linux-utility-vm.ts';
import type { Chance } from './chance.ts';

/** The first word of every process. It is in the log once for each start. */
export const firstWord = 'begun';
const share = 0.7;
const shareMissing = 0.1;

/** The section `process` of a VM's manifest; undefined for a VM without one. A VM that is started again has to run, or end well, some day. */
export function processOf(
  chance: Chance,
  runStrategy: LinuxUtilityVMManifestSpec['runStrategy'],
): LinuxUtilityVMManifestSpec['process'] {
  const [has, isMissing, seconds] = [chance.happens(share), chance.happens(shareMissing), 1 + chance.integer(20)];
  const code = chance.pick([0, 3]);
  if (!has) return undefined;
  const shell = (script: string) => ({ command: ['/bin/sh', '-c', script] });
  if (runStrategy === 'RerunOnFailure') return shell(`echo ${firstWord}; sleep ${seconds}; exit 0`);
  if (runStrategy !== 'Once') return shell(`echo ${firstWord}; sleep 1000000`);
  return isMissing ? { command: ['/bin/missing'] } : shell(`echo ${firstWord}; sleep ${seconds}; exit ${code}`);
}

/** The exit code that the process has when nothing ends it before; undefined when it does not end by itself. */
export function exitCodeOf(command: readonly unknown[]): number | undefined {
  // As the shell says that there is no such program.
  if (command[0] === '/bin/missing') return 127;
  const code = /; exit (\d)$/.exec(String(command[2]))?.[1];
  return code === undefined ? undefined : Number(code);
}
