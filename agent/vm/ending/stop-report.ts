// The text of `lastExit` about the disks of a VM that was stopped.
import { beginning } from '../../../runtime/beginning.ts';
import { plainText } from '../../../runtime/plain-text.ts';
import type { MachineRecord, VirtualMachineDisk } from '../record.ts';

/** A disk that was mounted when the power was cut, and why, if that is known. */
export interface LeftDisk {
  readonly path: string;
  readonly why?: string | undefined;
}

/** What happened to the data that was not yet written to the disks. */
export type Saved =
  | { readonly kind: 'readOnly' }
  | { readonly kind: 'written' }
  | { readonly kind: 'not'; readonly why: string };

/** The longest text that is taken from a guest. */
const maxTextChars = 160;
/** The longest list of disks. */
const maxNamesChars = 720;
const disksNamed = 4;

/** Disks that may be mounted and have data that is not written yet. */
export function mountedWritable({ disks }: MachineRecord): readonly VirtualMachineDisk[] {
  return disks.filter(({ guestPath, readOnly }) => guestPath !== undefined && !readOnly);
}

/** The text for a VM whose mounts are not known. */
export function describeStranger(saved: Saved): string {
  return `what was mounted ${verdict(saved, 1)}`;
}

export function leftOf({ guestPath, path }: VirtualMachineDisk): LeftDisk {
  return { path: guestPath ?? path };
}

/** The text for disks that stayed mounted; undefined without any. */
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
