// Scripts that save a guest's file systems before the power of its VM is cut, for `/bin/sh` without any other program.
// The kernel's emergency functions reach every file system, even one that cannot be unmounted because a file on it is
// open. Afterwards everything that was written is on the disk, and the file systems are clean. The guest's own
// power-off saves nothing.
import { asInMountTable } from './mount-look.ts';
import type { GuestCommand } from './process-request.ts';

/** Writes everything to the disks and makes all file systems read-only. The kernel works asynchronously. */
export const emergencyScript = `
echo s > /proc/sysrq-trigger || exit 1
echo u > /proc/sysrq-trigger || exit 1`;

export const emergencyCommand: GuestCommand = { args: ['/bin/sh', '-c', emergencyScript] };

/** Ends with 0 once no file system that is mounted at one of the paths is writable. */
export const readOnlyScript = `
while read -r device at kind options rest; do
  case $options in ro | ro,*) continue ;; esac
  for path in "$@"; do
    [ "$at" = "$path" ] && exit 50
  done
done < /proc/mounts || exit 1
exit 0`;

export function readOnlyCommand(paths: readonly string[]): GuestCommand {
  return { args: ['/bin/sh', '-c', readOnlyScript, 'look', ...paths.map(asInMountTable)] };
}

export const syncCommand: GuestCommand = { args: ['sync'] };

export const signalScript = 'kill -s "$@"';

export function signalCommand(signal: 'TERM' | 'KILL', processes: readonly number[]): GuestCommand {
  return { args: ['/bin/sh', '-c', signalScript, 'kill', signal, ...processes.map(String)] };
}
