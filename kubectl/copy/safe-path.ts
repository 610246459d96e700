// Where an entry of a guest's archive may be written. The guest is hostile: a name must not lead out of the target, on
// any system.

export class UnsafeArchive extends Error {
  constructor(message: string) {
    super(`the guest sent an unsafe archive: ${message}`);
    this.name = 'UnsafeArchive';
  }
}

const mostParts = 256;
const longestPart = 255;
/** Names that Windows gives to devices, also with an extension. */
const device = /^(?:con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(?:\..*)?$/i;

/** The parts of a name below the archive's only root, whose own name is the guest's choice and is dropped. */
export function partsBelowRoot(name: string, isWindows: boolean): { readonly root: string; readonly parts: string[] } {
  if (name.startsWith('/')) throw new UnsafeArchive(`${JSON.stringify(name)} is an absolute name`);
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.length > mostParts) throw new UnsafeArchive('a name has too many parts');
  for (const part of parts) checkPart(part, name, isWindows);
  const [root = '', ...below] = parts;
  return { root, parts: below };
}

function checkPart(part: string, name: string, isWindows: boolean): void {
  const isBad = part === '..' || part.includes('\0') || part.length > longestPart;
  if (isBad || (isWindows && isUnsafeOnWindows(part))) {
    throw new UnsafeArchive(`${JSON.stringify(name.slice(0, longestPart))} is no safe name here`);
  }
}

function isUnsafeOnWindows(part: string): boolean {
  return /[\\:*?"<>|]/.test(part) || /[. ]$/.test(part) || device.test(part);
}
