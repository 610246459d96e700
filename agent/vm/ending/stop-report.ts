import { beginning } from '../../../runtime/beginning.ts';
// What `lastExit` says of the disks of a VM that was stopped.

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
const disksNamed = 4;

/** Undefined when nothing was left mounted. */
export function describeLeft(disks: readonly LeftDisk[], saved: Saved): string | undefined {
  if (disks.length === 0) return undefined;
  const named = disks.slice(0, disksNamed).map(({ path, why }) => (why === undefined ? path : `${path} (${cut(why)})`));
  const more = disks.length > disksNamed ? ` and ${disks.length - disksNamed} more` : '';
  return `${named.join(', ')}${more} stayed mounted and ${verdict(saved, disks.length)}`;
}

function verdict(saved: Saved, disks: number): string {
  const verb = disks === 1 ? 'was' : 'were';
  if (saved.kind === 'readOnly') return `${verb} synced and made read-only`;
  return saved.kind === 'written' ? `${verb} synced` : `${verb} not synced: ${cut(saved.why)}`;
}

function cut(text: string): string {
  return text.length <= maxTextChars ? text : `${beginning(text, maxTextChars - 1)}…`;
}
