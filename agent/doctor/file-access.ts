// Who may read a file, from its access control list in SDDL, the text form of Windows' security descriptors.

/** Groups that the worker process of every VM is in: Virtual Machines, Everyone, Users, Authenticated Users. */
const workerGroups: ReadonlySet<string> = new Set([
  'S-1-5-83-0',
  'WD',
  'S-1-1-0',
  'BU',
  'S-1-5-32-545',
  'AU',
  'S-1-5-11',
]);

/** FILE_READ_DATA, and the generic rights that contain it. */
const readMask = 0x0000_0001 | 0x1000_0000 | 0x8000_0000;
/** The same as letters: FILE_READ_DATA is `CC` there, the right of bit 0. */
const readLetters: ReadonlySet<string> = new Set(['CC', 'FA', 'FR', 'GA', 'GR']);

interface Entry {
  readonly type: string;
  readonly flags: string;
  readonly rights: string;
  readonly account: string;
}

/** Whether the worker process of a VM may read the file that has this security descriptor. */
export function workerMayRead(sddl: string): boolean {
  const list = accessListOf(sddl);
  // Without a list everyone has access.
  if (list === undefined || list.includes('NO_ACCESS_CONTROL')) return true;
  // Windows goes through the entries in order, and the first that names the right decides.
  const first = entriesOf(list).find(
    ({ account, flags, rights, type }) =>
      ['A', 'D'].includes(type) && !namesOf(flags).includes('IO') && workerGroups.has(account) && canRead(rights),
  );
  return first?.type === 'A';
}

/** The part that begins with `D:`, up to the system's list. Owner and group come before it. */
function accessListOf(sddl: string): string | undefined {
  return /D:(?:[A-Z_]*)(?:\([^()]*\))*/.exec(sddl)?.[0];
}

function entriesOf(list: string): readonly Entry[] {
  return [...list.matchAll(/\(([^()]*)\)/g)].map(([, entry = '']) => {
    const [type = '', flags = '', rights = '', , , account = ''] = entry.split(';');
    return { type, flags, rights, account };
  });
}

function canRead(rights: string): boolean {
  if (rights.startsWith('0x')) return (Number(rights) & readMask) !== 0;
  return namesOf(rights).some((name) => readLetters.has(name));
}

/** Flags and rights are written without separators, two letters each. */
function namesOf(text: string): readonly string[] {
  return text.match(/../g) ?? [];
}
