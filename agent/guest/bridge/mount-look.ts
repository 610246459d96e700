// What is at a mount path in the guest, asked of the guest before it is told to mount or unmount there: its agent deletes
// what is at the target of a mount that fails, also on a disk that is mounted there already, and what is in a folder that
// it unmounts although nothing is mounted there. The question is a script for `/bin/sh` that needs no other program; its
// answer is the exit code, so that no stream has to be served.
import { type Clock, delay } from '../../../runtime/clock.ts';
import { messageOf } from '../../../runtime/error-text.ts';
import type { GuestCommand } from './process-request.ts';

/** What there may be at a path. `mounted` counts also when something else is mounted below it. */
export type MountTarget =
  | 'free'
  | 'mounted'
  /** Nothing is mounted at the path, but something is below it. */
  | 'mountedBelow'
  /** A folder with something in it, or no folder. */
  | 'occupied'
  /** The path leads through a symbolic link. */
  | 'link';

/** `unknown`: the guest cannot be asked, and why. */
export type MountLook =
  | { readonly kind: 'seen'; readonly target: MountTarget }
  | { readonly kind: 'unknown'; readonly why: string };

const exitCodes: ReadonlyMap<number, MountTarget> = new Map([
  [0, 'free'],
  [40, 'mounted'],
  [41, 'mountedBelow'],
  [42, 'occupied'],
  [43, 'link'],
]);

/** `/proc/mounts` writes some characters as octal numbers. */
export const lookScript = `
folder=$1
while [ ! -d "$folder" ]; do
  if [ -e "$folder" ] || [ -L "$folder" ]; then exit 42; fi
  folder=\${folder%/*}
  [ -n "$folder" ] || folder=/
done
cd -P -- "$folder" || exit 1
[ "$(pwd -P)" = "$folder" ] || exit 43
below=
while read -r device at rest; do
  [ "$at" = "$2" ] && exit 40
  case $at in "$2"/*) below=1 ;; esac
done < /proc/mounts || exit 1
[ -z "$below" ] || exit 41
[ "$folder" = "$1" ] || exit 0
for entry in * .[!.]* ..?*; do
  if [ -e "$entry" ] || [ -L "$entry" ]; then exit 42; fi
done
exit 0`;

export function lookCommand(path: string): GuestCommand {
  return { args: ['/bin/sh', '-c', lookScript, 'look', path, asInMountTable(path)] };
}

/** As `/proc/mounts` writes it. */
export function asInMountTable(path: string): string {
  return path.replace(/[\\ #]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

/** Runs a program without streams; resolves with its exit code. */
export type RunInGuest = (command: GuestCommand) => Promise<number>;

/** Never rejects. */
export async function lookAt(path: string, run: RunInGuest, clock: Clock, milliseconds: number): Promise<MountLook> {
  const code = await inTime(run(lookCommand(path)), clock, milliseconds).catch(messageOf);
  if (typeof code === 'string') return { kind: 'unknown', why: code };
  const target = exitCodes.get(code);
  return target === undefined
    ? { kind: 'unknown', why: `the script that looks ended with exit code ${code}` }
    : { kind: 'seen', target };
}

/** Rejects when the time is over; what was asked for goes on without anybody who waits for it. */
export async function inTime<T>(asked: Promise<T>, clock: Clock, milliseconds: number): Promise<T> {
  const over = new AbortController();
  const late = delay(clock, milliseconds, over.signal).then(() => {
    throw new Error(`the guest has not answered within ${Math.round(milliseconds / 1000)} s`);
  });
  late.catch(() => undefined);
  asked.catch(() => undefined);
  return await Promise.race([asked, late]).finally(() => over.abort());
}
