// Names of files that a manifest gives, judged by how they are written, before anything is looked up. Refused is every
// spelling that Windows takes for another name than the one that is written: RtlDosPathNameToNtPathName strips dots and
// spaces from the end of each segment, and knows devices by name in every folder.

/** As the CRD bounds it. */
const maxPathCharacters = 1024;
const drive = /^[A-Za-z]:[\\/]/;
const separator = /[\\/]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const forbiddenCharacter = /[\u0000-\u001f<>:"|?*]/;
const deviceName = /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])$/i;

/** Why a manifest must not name this path; undefined for an ordinary absolute path. */
export function pathProblem(path: string): string | undefined {
  if (path.length > maxPathCharacters) return `has more than ${maxPathCharacters} characters`;
  if (!drive.test(path)) {
    return String.raw`must begin with a drive and a separator, such as D:\disks: no share, no device, nothing relative`;
  }
  return segmentsAfterDrive(path)
    .map(segmentProblem)
    .find((problem) => problem !== undefined);
}

/** Why a manifest must not give this as the name of a file in a folder. */
export function fileNameProblem(name: string): string | undefined {
  if (name === '') return 'must not be empty';
  return separator.test(name) ? 'must be a bare file name, without a folder' : segmentProblem(name);
}

function segmentProblem(segment: string): string | undefined {
  if (segment === '.' || segment === '../..') return 'must not contain . or .. as a path element';
  if (!segment.isWellFormed()) return 'must be well-formed text';
  if (forbiddenCharacter.test(segment)) return 'must not contain < > : " | ? * or control characters after the drive';
  if (endsInDotOrSpace(segment)) return 'must not have a path element that ends in a dot or space';
  return isDeviceName(segment) ? 'must not contain the name of a device, such as NUL or COM1' : undefined;
}

/** Windows drops them from the end of a name. */
export function endsInDotOrSpace(segment: string): boolean {
  return segment.endsWith('.') || segment.endsWith(' ');
}

/** With any extension, and with spaces before it. */
function isDeviceName(segment: string): boolean {
  const [beforeExtension = ''] = segment.split('.', 1);
  return deviceName.test(beforeExtension.trimEnd());
}

function segmentsAfterDrive(path: string): readonly string[] {
  return path
    .slice(3)
    .split(separator)
    .filter((segment) => segment !== '');
}

/** The segments of an absolute path, its drive first, in one letter case. The path must have no `pathProblem`. */
export function segmentsOf(path: string): readonly string[] {
  return [path.slice(0, 2), ...segmentsAfterDrive(path)].map(foldCase);
}

/** Segment by segment, also when they are the same. */
export function isWithin(path: readonly string[], folder: readonly string[]): boolean {
  return folder.length <= path.length && folder.every((segment, index) => segment === path[index]);
}

/**
 * Letter case as NTFS ignores it: its table $UpCase maps single UTF-16 units to single units, and never into ASCII from
 * outside. JavaScript's mappings go further: `ſ` becomes S, `ı` I, U+212A is lowered to k. So only letters count that come
 * back when they are lowered again. Folders that differ in other letters count as different, which refuses more.
 */
export function foldCase(text: string): string {
  let folded = '';
  for (let index = 0; index < text.length; index += 1) folded += foldUnit(text.charAt(index));
  return folded;
}

function foldUnit(unit: string): string {
  const upper = unit.toUpperCase();
  return upper.length === 1 && upper.toLowerCase() === unit ? upper : unit;
}
