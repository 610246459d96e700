// Looks at a mount path in the guest before the guest is told to mount or unmount there. When a mount fails, the guest
// agent deletes everything at its target, even on a disk that is already mounted there. When nothing is mounted at a
// path that it unmounts, it deletes the content of the folder. The look is a script for `/bin/sh` that needs no other
// program. Its result is the exit code, so that no stream is needed.
import { type Clock, delay } from '../../../runtime/clock.ts';
import { messageOf } from '../../../runtime/error-text.ts';
import type { GuestCommand } from './process-request.ts';

/** What can be at a path. A path counts as `mounted` even when something else is mounted below it. */
export type MountTarget =
  | 'free'
  | 'mounted'
  /** Nothing is mounted at the path, but something is below it. */
  | 'mountedBelow'
  /** A folder that is not empty, or something other than a folder. */
  | 'occupied'
  /** The path leads through a symbolic link. */
  | 'link';

/** `unknown`: the guest cannot be asked, for the given reason. */
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

/** `/proc/mounts` writes some characters as octal escapes. */
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

/** Escapes a path as `/proc/mounts` does. */
export function asInMountTable(path: string): string {
  return path.replace(/[\\ #]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

/** Runs a program without streams. Resolves with its exit code. */
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

/** Rejects when the time is over. The request continues, and its result is ignored. */
export async function inTime<T>(asked: Promise<T>, clock: Clock, milliseconds: number): Promise<T> {
  const over = new AbortController();
  const late = delay(clock, milliseconds, over.signal).then(() => {
    throw new Error(`the guest has not answered within ${Math.round(milliseconds / 1000)} s`);
  });
  late.catch(() => undefined);
  asked.catch(() => undefined);
  return await Promise.race([asked, late]).finally(() => over.abort());
}
