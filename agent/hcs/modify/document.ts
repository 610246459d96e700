// The document that changes a running system (hcs-runtime B.6): members in the original's order, left out when they have
// no value, and escaped as every document for HCS is. And the rule for changes that have a half for HCS and one for the
// guest: what is added is there before the guest hears of it, what is removed the guest has let go of before.
import { escapeMarkup } from '../../document/document-text.ts';
import type { GuestModification } from '../../guest/guest-modification.ts';

export interface HostModification {
  readonly resourcePath: string;
  /** Absent: what is there is set. */
  readonly requestType?: 'Add' | 'Remove' | 'Update';
  /** Members in the order in which they are to be written. */
  readonly settings?: unknown;
}

export function modifyDocument({ resourcePath, requestType, settings }: HostModification): string {
  const document = { ResourcePath: resourcePath, RequestType: requestType, Settings: settings };
  return escapeMarkup(JSON.stringify(document));
}

/** Both ends of a running VM. Each rejects with the end's refusal. */
export interface ChangeTarget {
  host(document: string): Promise<void>;
  /** Absent: the guest of this VM cannot be asked for anything. */
  readonly guest?: ((modification: GuestModification) => Promise<void>) | undefined;
}

/** What a guest refuses is removed again, with the settings of the addition; that this failed is only told. */
export async function addWithGuest(
  addition: HostModification,
  modification: GuestModification,
  target: ChangeTarget,
  undoFailed: (error: unknown) => void,
): Promise<void> {
  await target.host(modifyDocument(addition));
  try {
    await target.guest?.(modification);
  } catch (error) {
    await target.host(modifyDocument({ ...addition, requestType: 'Remove' })).catch(undoFailed);
    throw error;
  }
}
