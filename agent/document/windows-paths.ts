// Lexical Windows paths exactly as the original joins and cleans them (docs/reference/hcs-documents.md §0.4).
// node:path's win32 flavour differs: it keeps trailing separators and knows `.` for empty results in other places.

const separators = /[\\/]+/;

/** Joins the elements that are not empty with `\` and cleans the result; nothing but empty elements give "". */
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
    // A second separator here would turn `\` and `\x` into the start of a UNC path.
    return path + element.replace(/^[\\/]+/, '');
  }
  // `C:` and `x` is x in the current directory of drive C, not `C:\x`.
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
    // `\\server\share` stays as it is; a bare drive means the current directory there.
    return cleanVolume.startsWith('\\\\') ? cleanVolume : `${cleanVolume}.`;
  }
  const rooted = isSeparator(rest.charAt(0));
  const names = resolveDots(rest.split(separators), rooted).join('\\');
  const cleaned = rooted ? `\\${names}` : names || '.';
  if (volume !== '') {
    return cleanVolume + cleaned;
  }
  // What stands at the start of the path as given cannot have turned into a volume.
  return path.startsWith(cleaned) ? cleaned : guardAgainstVolume(cleaned);
}

/** Most paths: below the root of a drive, with nothing that could need cleaning. Searches are much faster than a pattern here. */
function isPlainlyClean(path: string): boolean {
  return (
    path.startsWith(':\\', 1) &&
    !path.includes('/') &&
    !path.includes('\\.') &&
    !path.includes('\\\\') &&
    !path.endsWith('\\')
  );
}

function resolveDots(names: readonly string[], rooted: boolean): string[] {
  const resolved: string[] = [];
  for (const name of names) {
    if (name === '' || name === '.') {
      continue;
    }
    const parent = resolved.at(-1);
    if (name !== '..') {
      resolved.push(name);
    } else if (parent !== undefined && parent !== '..') {
      resolved.pop();
    } else if (!rooted) {
      resolved.push(name);
    }
  }
  return resolved;
}

/** Cleaning `x\..\c:y` must not make a path on drive C: a colon in the first name gets `.\` before it. */
function guardAgainstVolume(cleaned: string): string {
  const firstName = cleaned.split('\\', 1)[0] ?? '';
  if (firstName.includes(':')) {
    return `.\\${cleaned}`;
  }
  return cleaned.startsWith('\\??') ? `\\.${cleaned}` : cleaned;
}

/** The absolute, cleaned form of `path`; "" is the current directory. */
export function absolutePath(path: string, currentDirectory: string): string {
  const volume = volumeName(path);
  const rooted = isSeparator(path.charAt(volume.length));
  if (volume.length > 2 || (volume !== '' && rooted)) {
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

/** The folder of `path`, lexically; "." when it names none. */
export function parentPath(path: string): string {
  const volume = volumeName(path);
  const end = Math.max(path.lastIndexOf('\\'), path.lastIndexOf('/'));
  return cleanPath(end < volume.length ? volume : path.slice(0, end + 1));
}

/** Length-preserving prefix that names a drive, a UNC share or a device: what cleaning leaves alone. */
function volumeName(path: string): string {
  if (path.charAt(1) === ':') {
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
 * Equal ignoring case by Unicode simple folding, as the original compares folders: `ſ` equals `s`, but `ß` is not `ss`. The
 * regular expression flags i and u together mean exactly this folding.
 */
export function equalFold(a: string, b: string): boolean {
  if (a === b) {
    return true;
  }
  // Simple folding maps one UTF-16 code unit to one, so texts of different lengths never match.
  if (a.length !== b.length) {
    return false;
  }
  const literal = a.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  return new RegExp(`^${literal}$`, 'iu').test(b);
}
