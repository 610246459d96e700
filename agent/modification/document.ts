// The document that changes a running system (hcs-runtime B.6): members in the original's order, left out when they have
// no value, and escaped as every document for HCS is. And the rule for changes that have a half for HCS and one for the
// guest: what is added is there before the guest hears of it, what is removed the guest has let go of before.

import { messageOf } from '../../runtime/error-text.ts';
import { CallOverdue } from '../bounds/bounded.ts';
import { escapeMarkup } from '../document/document-text.ts';
import { BridgeClosedError, GuestUnansweredError } from '../guest/bridge/errors.ts';
import type { GuestModification } from '../guest/bridge/guest-modification.ts';
import { HcsError } from '../node/hcs-error.ts';

export interface HostModification {
  readonly resourcePath: string;
  /** Absent: what is there is set. */
  readonly requestType?: 'Add' | 'Remove' | 'Update';
  /** Members in the order in which they are to be written. Null is written, as the original writes a missing structure. */
  readonly settings?: unknown;
}

/** The `Request` member of the guest's message, members in order. */
export type GuestRequestJson = Readonly<Record<string, unknown>>;

export function modifyDocument(host: HostModification | undefined, guestRequest?: GuestRequestJson): string {
  const document = {
    ResourcePath: host?.resourcePath,
    RequestType: host?.requestType,
    Settings: host?.settings,
    GuestRequest: guestRequest,
  };
  return escapeMarkup(JSON.stringify(document));
}

/** Both ends of a running VM. Each rejects with the end's refusal. Without `guest` and `guestThroughHost` no guest can be asked. */
export interface ChangeTarget<Request = GuestModification> {
  host(document: string): Promise<void>;
  /** Over the agent's own bridge. */
  readonly guest?: ((request: Request) => Promise<void>) | undefined;
  /** HCS owns the connection to the guest, and gets what the guest is asked for inside of its own document. */
  readonly guestThroughHost?: ((request: Request) => GuestRequestJson) | undefined;
}

/** At least one half. */
export interface Change<Request = GuestModification> {
  readonly host?: HostModification;
  readonly guest?: Request;
}

/** Makes both halves in their order. Told of what could not be undone after the guest refused. */
export async function applyChange<Request>(
  change: Change<Request>,
  target: ChangeTarget<Request>,
  undoFailed: (error: unknown) => void,
): Promise<void> {
  const { guest, host } = change;
  if (guest === undefined || (target.guest === undefined && target.guestThroughHost === undefined)) {
    if (host !== undefined) await target.host(modifyDocument(host));
  } else if (target.guestThroughHost !== undefined) {
    await target.host(modifyDocument(host, target.guestThroughHost(guest)));
  } else if (host?.requestType === 'Add') {
    await saying('adding VM resources', () => target.host(modifyDocument(host)));
    await addInGuest(guest, host, target, undoFailed);
  } else {
    await saying('guest modify', () => askGuest(guest, target));
    // Nothing but an addition or a removal has a half for HCS when it has one for the guest (hcs-runtime B.6).
    if (host?.requestType !== 'Remove') return;
    await saying('removing VM resources', () => target.host(modifyDocument(host)));
  }
}

/** Only the guest is asked. */
export async function askGuest<Request>(request: Request, target: ChangeTarget<Request>): Promise<void> {
  if (target.guestThroughHost === undefined) await target.guest?.(request);
  else await target.host(modifyDocument(undefined, target.guestThroughHost(request)));
}

/** What a guest refuses is removed again, with the settings of the addition. */
async function addInGuest<Request>(
  request: Request,
  addition: HostModification,
  target: ChangeTarget<Request>,
  undoFailed: (error: unknown) => void,
): Promise<void> {
  try {
    await saying('guest modify', () => askGuest(request, target));
  } catch (error) {
    // Nothing is taken from a guest that may still be adding it.
    if (mayHaveHappened(error)) throw error;
    await target.host(modifyDocument({ ...addition, requestType: 'Remove' })).catch(undoFailed);
    throw error;
  }
}

/** Nobody refused what was asked for: it has happened, or not, or will. */
export function mayHaveHappened(error: unknown): boolean {
  if (error instanceof CallOverdue || error instanceof GuestUnansweredError) return true;
  if (error instanceof BridgeClosedError || (error instanceof HcsError && error.isServiceDisconnect)) return true;
  return error instanceof Error && error.cause !== undefined && mayHaveHappened(error.cause);
}

/** An end's refusal with what it refused before it. A call that is still running stays what it is. */
export async function saying<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof CallOverdue) throw error;
    throw new Error(`${what}: ${messageOf(error)}`, { cause: error });
  }
}
