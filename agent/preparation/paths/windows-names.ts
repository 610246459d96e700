// Judges file names in a manifest by their spelling, before anything is looked up. Every spelling that Windows resolves
// to another name is refused: RtlDosPathNameToNtPathName strips dots and spaces from the end of each segment, and
// recognises device names in every folder.

/** The same bound as in the CRD. */
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

/** Why a manifest must not use this as the name of a file in a folder. */
export function fileNameProblem(name: string): string | undefined {
  if (name === '') return 'must not be empty';
  return separator.test(name) ? 'must be a bare file name, without a folder' : segmentProblem(name);
}

function segmentProblem(segment: string): string | undefined {
  if (segment === '.' || segment === '..') return 'must not contain . or .. as a path element';
  if (!segment.isWellFormed()) return 'must be well-formed text';
  if (forbiddenCharacter.test(segment)) return 'must not contain < > : " | ? * or control characters after the drive';
  if (endsInDotOrSpace(segment)) return 'must not have a path element that ends in a dot or space';
  return isDeviceName(segment) ? 'must not contain the name of a device, such as NUL or COM1' : undefined;
}

/** Windows drops dots and spaces from the end of a name. */
export function endsInDotOrSpace(segment: string): boolean {
  return segment.endsWith('.') || segment.endsWith(' ');
}

/** With any extension, and with spaces before the extension. */
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

/** The segments of an absolute path, starting with its drive, with case folded. The path must have no `pathProblem`. */
export function segmentsOf(path: string): readonly string[] {
  return [path.slice(0, 2), ...segmentsAfterDrive(path)].map(foldCase);
}

/** Compares segment by segment. A folder is within itself. */
export function isWithin(path: readonly string[], folder: readonly string[]): boolean {
  return folder.length <= path.length && folder.every((segment, index) => segment === path[index]);
}

/**
 * Folds case as NTFS does: its table $UpCase maps single UTF-16 units to single units, and never from outside ASCII
 * into ASCII. JavaScript's mappings go further: `ſ` becomes S, `ı` becomes I, and U+212A becomes k. So a letter is
 * folded only if lowering the result gives the letter back. Folders that differ in other letters count as different,
 * which refuses more.
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
