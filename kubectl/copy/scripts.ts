// What runs in the guest. It needs `sh`, `tar`, `mv` and `readlink`, as busybox has them. All texts of the user are
// arguments, never part of a script.

/** Writes an archive of `$1` to its output. A link as the source means what it points at. */
const packScript = `
path=$(readlink -f "$1") && [ -e "$path" ] || { echo "$1: no such file or folder" >&2; exit 1; }
cd "$(dirname "$path")" && exec tar -cf - "./$(basename "$path")"`;

export function packCommand(path: string): readonly string[] {
  return ['sh', '-c', packScript, 'sh', absolute(path)];
}

/** The names in an archive that is sent to a guest. \`complete\` is the last one: without it something is missing. */
export const sentNames = { data: 'data', complete: 'complete' } as const;

/**
 * Unpacks an archive from its input beside the final name, and renames it once all of it is there. An archive that was
 * cut leaves nothing.
 */
const unpackScript = `
set -e
final=$1
[ ! -d "$final" ] || final=\${final%/}/$2
parent=\${final%/*}
parent=\${parent:-/}
[ -d "$parent" ] || { echo "$parent: no such folder" >&2; exit 1; }
[ ! -d "$final" ] || { echo "$final: a folder of this name exists already" >&2; exit 1; }
part=$parent/.luvm-cp-$3
trap 'rm -rf "$part"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -m 700 "$part"
tar -xf - -C "$part"
[ -f "$part/${sentNames.complete}" ] || { echo "the archive is incomplete" >&2; exit 1; }
mv -f "$part/${sentNames.data}" "$final"`;

/** @param name the name of a copy into a folder; @param token of this copy alone */
export function unpackCommand(path: string, name: string, token: string): readonly string[] {
  return ['sh', '-c', unpackScript, 'sh', absolute(path), name, token];
}

/** A path that begins with a dash is no option. */
function absolute(path: string): string {
  return path.startsWith('/') ? path : `./${path}`;
}
