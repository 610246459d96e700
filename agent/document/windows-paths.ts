// Lexical Windows paths exactly as the original joins and cleans them (docs/reference/hcs-documents.md §0.4).
// node:path's win32 flavour differs: it keeps trailing separators and returns `.` for empty results in other cases.

const separators = /[\\/]+/;

/** Joins the non-empty elements with `\` and cleans the result. Without a non-empty element the result is "". */
export function joinPath(...elements: readonly string[]): string {
  let joined = '';
  for (const element of elements) {
    joined = joined === '' ? element : appendElement(joined, element);
  }
  return joined === '' ? '' : cleanPath(joined);
}

function appendElement(path: string, element: string): string {
  const last = path.at(-1) ?? '';
  if (isSeparator(last)) {
    // A second separator here would turn `\` and `\x` into the start of a UNC path, and `??` into the start of a device
    // path.
    const rest = element.replace(/^[\\/]+/, '');
    return path.length === 1 && /^\?\?(?:$|[\\/])/.test(rest) ? `${path}.\\${rest}` : path + rest;
  }
  // `C:` joined with `x` is x in the current directory of drive C, not `C:\x`.
  return last === ':' ? path + element : `${path}\\${element}`;
}

/** Resolves `.`, `..` and repeated separators, makes every separator `\`, drops a trailing one except on a root. */
export function cleanPath(path: string): string {
  if (isPlainlyClean(path)) {
    return path;
  }
  const volume = volumeName(path);
  const rest = path.slice(volume.length);
  const cleanVolume = volume.replaceAll('/', '\\');
  if (rest === '') {
    // `\\server\share` stays unchanged; a bare drive means its current directory.
    return cleanVolume.startsWith('\\\\') ? cleanVolume : `${volume}.`;
  }
  const { text, written } = resolveDots(rest);
  return volume === '' ? guardAgainstVolume(text, written) : cleanVolume + text;
}

/**
 * True for most paths: below the root of a drive, with nothing to clean. Plain searches are much faster here than a
 * pattern.
 */
function isPlainlyClean(path: string): boolean {
  return (
    path.startsWith(':\\', 1) &&
    path.charCodeAt(0) < 0x80 &&
    !path.includes('/') &&
    !path.includes('\\.') &&
    !path.includes('\\\\') &&
    !path.endsWith('\\')
  );
}

function resolveDots(rest: string): CleanedNames {
  const cleaned = new CleanedNames(rest);
  for (const name of rest.split(separators)) {
    if (name === '..') {
      cleaned.goUp();
    } else if (name !== '' && name !== '.') {
      cleaned.add(name);
    }
  }
  if (cleaned.text === '') {
    cleaned.add('.');
  }
  return cleaned;
}

class CleanedNames {
  readonly #rest: string;
  readonly #rooted: boolean;
  readonly #names: string[] = [];
  #text: string;
  #written: string | undefined;

  constructor(rest: string) {
    this.#rest = rest;
    this.#rooted = isSeparator(rest.charAt(0));
    this.#text = this.#rooted ? '\\' : '';
    this.#written = rest.startsWith(this.#text) ? undefined : this.#text;
  }

  get text(): string {
    return this.#text;
  }

  /**
   * The original writes the result over a copy of the path, from the first difference on. This is the final content of
   * that copy, including remains of names that a later `..` removed. Undefined when every name is in its old place:
   * then nothing can have become a volume.
   */
  get written(): string | undefined {
    return this.#written;
  }

  add(name: string): void {
    const piece = this.#names.length === 0 ? name : `\\${name}`;
    const isInPlace = this.#written === undefined && this.#rest.startsWith(piece, this.#text.length);
    const remains = this.#written?.slice(this.#text.length + piece.length) ?? '';
    this.#names.push(name);
    this.#text += piece;
    if (!isInPlace) {
      this.#written = this.#text + remains;
    }
  }

  goUp(): void {
    const parent = this.#names.at(-1);
    if (parent === undefined || parent === '..') {
      if (!this.#rooted) {
        this.add('..');
      }
      return;
    }
    this.#names.pop();
    this.#text = this.#text.slice(0, -parent.length - Math.min(this.#names.length, 1));
  }
}

/** Cleaning `x\..\c:y` must not produce a path on drive C: a colon in the first name gets `.\` before it. */
function guardAgainstVolume(cleaned: string, written: string | undefined): string {
  const firstName = written?.split('\\', 1)[0] ?? '';
  if (firstName.includes(':')) {
    return `.\\${cleaned}`;
  }
  return written?.startsWith('\\??') === true ? `\\.${cleaned}` : cleaned;
}

/** The absolute, cleaned form of `path`; "" is the current directory. */
export function absolutePath(path: string, currentDirectory: string): string {
  const volume = volumeName(path);
  const rooted = isSeparator(path.charAt(volume.length));
  if (volume.length > 2 || isSeparator(volume.charAt(1)) || (volume !== '' && rooted)) {
    return cleanPath(path);
  }
  const currentVolume = volumeName(currentDirectory);
  if (volume === '') {
    return rooted ? cleanPath(currentVolume + path) : joinPath(currentDirectory, path);
  }
  const onCurrentDrive = volume.toLowerCase() === currentVolume.toLowerCase();
  const rest = path.slice(volume.length);
  return onCurrentDrive ? joinPath(currentDirectory, rest) : cleanPath(`${volume}\\${rest}`);
}

/** The last element of a path, without separators behind it. Of a path without elements, `.` or a separator. */
export function baseName(path: string): string {
  if (path === '') {
    return '.';
  }
  const trimmed = path.slice(0, endWithoutSeparators(path));
  const rest = trimmed.slice(volumeName(trimmed).length);
  const name = rest.slice(lastSeparator(rest) + 1);
  return name === '' ? '\\' : name;
}

/** Everything before the last separator, cleaned. */
export function parentFolder(path: string): string {
  const volume = volumeName(path);
  const rest = path.slice(volume.length);
  const folder = cleanPath(rest.slice(0, lastSeparator(rest) + 1));
  return folder === '.' && volume.length > 2 ? volume : volume + folder;
}

function endWithoutSeparators(path: string): number {
  let end = path.length;
  while (end > 0 && isSeparator(path.charAt(end - 1))) {
    end--;
  }
  return end;
}

function lastSeparator(path: string): number {
  return Math.max(path.lastIndexOf('\\'), path.lastIndexOf('/'));
}

/**
 * The prefix that names a drive, a UNC share or a device. Cleaning leaves it unchanged, so its length stays the same.
 */
function volumeName(path: string): string {
  if (path.charAt(1) === ':' && path.charCodeAt(0) < 0x80) {
    return path.slice(0, 2);
  }
  // The forms \\.\UNC\server\share, \\.\x, \\?\x, \??\x and \\server\share, with either separator.
  const match =
    /^[\\/]{2}\.[\\/]UNC[\\/][^\\/]*(?:[\\/][^\\/]*)?/i.exec(path) ??
    /^(?:[\\/]{2}[.?]|[\\/]\?\?)(?:$|[\\/][^\\/]*)/.exec(path) ??
    /^[\\/]{2}[^\\/]*(?:[\\/][^\\/]*)?/.exec(path);
  return match?.[0] ?? '';
}

function isSeparator(character: string): boolean {
  return character === '\\' || character === '/';
}

/**
 * Case-insensitive equality by Unicode simple folding, as the original compares folders: `ſ` equals `s`, but `ß` does
 * not equal `ss`. The regular expression flags i and u together implement exactly this folding.
 */
export function equalFold(a: string, b: string): boolean {
  if (a === b) {
    return true;
  }
  // Simple folding maps one UTF-16 code unit to one, so texts of different lengths are never equal.
  if (a.length !== b.length) {
    return false;
  }
  const literal = a.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  return new RegExp(`^${literal}$`, 'iu').test(b);
}
