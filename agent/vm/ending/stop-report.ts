// The text of `lastExit` about the disks and shares of a VM that was stopped.
import { beginning } from '../../../runtime/beginning.ts';
import { plainText } from '../../../runtime/plain-text.ts';
import type { MachineRecord, VirtualMachineDisk, VirtualMachineShare } from '../record.ts';

export type StopMount = VirtualMachineDisk | VirtualMachineShare;

/** A disk or share that was mounted when the power was cut, and why, if that is known. */
export interface LeftMount {
  readonly path: string;
  /** The emergency functions of the kernel do not reach a share. */
  readonly isShare?: boolean;
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

/** Shares, then disks, that may be mounted and have data that is not written yet. */
export function mountedWritable({ disks, shares = [] }: MachineRecord): readonly StopMount[] {
  return [
    ...shares.filter(({ readOnly, state }) => !readOnly && state !== 'adding'),
    ...disks.filter(({ guestPath, readOnly }) => guestPath !== undefined && !readOnly),
  ];
}

export function isShare(mount: StopMount): mount is VirtualMachineShare {
  return 'number' in mount;
}

/** The text for a VM whose mounts are not known. */
export function describeStranger(saved: Saved): string {
  return `what was mounted ${verdict(saved, 1)}`;
}

export function leftOf(mount: StopMount): LeftMount {
  const { guestPath, path } = mount;
  return { path: guestPath ?? path, isShare: isShare(mount) };
}

/** The text for disks and shares that stayed mounted; undefined without any. */
export function describeLeft(disks: readonly LeftMount[], saved: Saved): string | undefined {
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
