// The document that changes a running system (hcs-runtime B.6): members in the original's order, left out when empty,
// and escaped like every document for HCS. Also the order of a change that concerns both HCS and the guest: HCS adds a
// device before the guest is told, and the guest releases a device before HCS removes it.

import { messageOf } from '../../runtime/error-text.ts';
import { CallOverdue } from '../bounds/bounded.ts';
import { escapeMarkup } from '../document/document-text.ts';
import { BridgeClosedError, GuestUnansweredError } from '../guest/bridge/errors.ts';
import type { GuestModification } from '../guest/bridge/guest-modification.ts';
import { HcsError } from '../node/hcs-error.ts';

export interface HostModification {
  readonly resourcePath: string;
  /** Absent: the request sets a value. */
  readonly requestType?: 'Add' | 'Remove' | 'Update';
  /** Members in the order of writing. Null is written, as the original does for a missing structure. */
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

/**
 * HCS and the guest of a running VM. Each rejects with its refusal. Without `guest` and `guestThroughHost` the guest
 * cannot be asked.
 */
export interface ChangeTarget<Request = GuestModification> {
  host(document: string): Promise<void>;
  /** Sends a request over the agent's own bridge. */
  readonly guest?: ((request: Request) => Promise<void>) | undefined;
  /** Set when HCS owns the connection to the guest: HCS then receives the guest's request inside its own document. */
  readonly guestThroughHost?: ((request: Request) => GuestRequestJson) | undefined;
}

/** Has a part for HCS, a part for the guest, or both. */
export interface Change<Request = GuestModification> {
  readonly host?: HostModification;
  readonly guest?: Request;
}

/**
 * Carries out both parts in their order. `undoFailed` receives the error when the addition cannot be undone after the
 * guest refused.
 */
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
    // Only an addition or a removal has parts for both HCS and the guest (hcs-runtime B.6).
    if (host?.requestType !== 'Remove') return;
    await saying('removing VM resources', () => target.host(modifyDocument(host)));
  }
}

/** Sends a request for the guest only. */
export async function askGuest<Request>(request: Request, target: ChangeTarget<Request>): Promise<void> {
  if (target.guestThroughHost === undefined) await target.guest?.(request);
  else await target.host(modifyDocument(undefined, target.guestThroughHost(request)));
}

/** If the guest refuses the addition, HCS removes it with the same settings. */
async function addInGuest<Request>(
  request: Request,
  addition: HostModification,
  target: ChangeTarget<Request>,
  undoFailed: (error: unknown) => void,
): Promise<void> {
  try {
    await saying('guest modify', () => askGuest(request, target));
  } catch (error) {
    // The guest may still be adding the device, so HCS does not remove it.
    if (mayHaveHappened(error)) throw error;
    await target.host(modifyDocument({ ...addition, requestType: 'Remove' })).catch(undoFailed);
    throw error;
  }
}

/** True when nobody refused the change: whether it happened, or will happen, is unknown. */
export function mayHaveHappened(error: unknown): boolean {
  if (error instanceof CallOverdue || error instanceof GuestUnansweredError) return true;
  if (error instanceof BridgeClosedError) return true;
  if (error instanceof HcsError && (error.isServiceDisconnect || error.isUnanswered)) return true;
  return error instanceof Error && error.cause !== undefined && mayHaveHappened(error.cause);
}

/** Adds what was refused to a refusal's message. A call that is still running keeps its error. */
export async function saying<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof CallOverdue) throw error;
    throw new Error(`${what}: ${messageOf(error)}`, { cause: error });
  }
}
