// The two places of `kubectl luvm cp`: a path here, and `VM:PATH` in a guest.
import { machineName } from '../machines.ts';

export type Location =
  | { readonly kind: 'local'; readonly path: string }
  | { readonly kind: 'guest'; readonly name: string; readonly path: string };

const inGuest = /^((?:[a-z0-9.]+\/)?[a-z0-9][a-z0-9.-]*):(.*)$/is;
/** `C:\file` on Windows; no VM needs a name of one letter that much. */
const drive = /^[a-z]:[\\/]/i;

/** A local path that looks like one in a guest can begin with `./`. */
export function parseLocation(text: string): Location {
  const found = drive.test(text) ? null : inGuest.exec(text);
  if (found === null) {
    if (text === '') throw new Error('a path is empty');
    return { kind: 'local', path: text };
  }
  const [, name = '', path = ''] = found;
  if (path === '') throw new Error(`"${text}" has no path behind the colon`);
  return { kind: 'guest', name: machineName(name), path };
}

/** The last name of a path in a guest, for a copy into a folder. */
export function lastName(path: string): string {
  const name = path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .at(-1);
  if (name === undefined || name === '..') throw new Error(`"${path}" does not end with a name: give the copy one`);
  return name;
}
