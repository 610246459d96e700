// What `lastExit` says of the disks of a VM that was stopped.
import { beginning } from '../../../runtime/beginning.ts';
import { plainText } from '../../../runtime/plain-text.ts';
import type { MachineRecord, VirtualMachineDisk } from '../record.ts';

/** One that was mounted when the power went; why, where somebody said so. */
export interface LeftDisk {
  readonly path: string;
  readonly why?: string | undefined;
}

/** What became of what was on its way to them. */
export type Saved =
  | { readonly kind: 'readOnly' }
  | { readonly kind: 'written' }
  | { readonly kind: 'not'; readonly why: string };

/** Of each text of a guest; a message has room for so much. */
const maxTextChars = 160;
/** Of what names the disks. */
const maxNamesChars = 720;
const disksNamed = 4;

/** Disks that may be mounted with something on them that is not written yet. */
export function mountedWritable({ disks }: MachineRecord): readonly VirtualMachineDisk[] {
  return disks.filter(({ guestPath, readOnly }) => guestPath !== undefined && !readOnly);
}

/** Of a VM of which it is not known what it has mounted. */
export function describeStranger(saved: Saved): string {
  return `what was mounted ${verdict(saved, 1)}`;
}

export function leftOf({ guestPath, path }: VirtualMachineDisk): LeftDisk {
  return { path: guestPath ?? path };
}

/** Undefined when nothing was left mounted. */
export function describeLeft(disks: readonly LeftDisk[], saved: Saved): string | undefined {
  if (disks.length === 0) return undefined;
  const named = disks.slice(0, disksNamed).map(({ path, why }) => (why === undefined ? path : `${path} (${cut(why)})`));
  const more = disks.length > disksNamed ? ` and ${disks.length - disksNamed} more` : '';
  return `${cut(named.join(', '), maxNamesChars)}${more} stayed mounted and ${verdict(saved, disks.length)}`;
}

function verdict(saved: Saved, disks: number): string {
  const verb = disks === 1 ? 'was' : 'were';
  if (saved.kind === 'readOnly') return `${verb} synced and made read-only`;
  return saved.kind === 'written' ? `${verb} synced` : `${verb} not synced: ${cut(saved.why)}`;
}

function cut(text: string, characters = maxTextChars): string {
  const plain = plainText(text);
  return plain.length <= characters ? plain : `${beginning(plain, characters - 1)}…`;
}
