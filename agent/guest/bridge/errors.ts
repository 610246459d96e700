// The ways in which a request over the guest bridge fails: the guest refuses it, the bridge ends, or the guest breaks
// the protocol.

/** Why a bridge ended: closed on this side, or failed. */
export type BridgeEnd = { readonly kind: 'local' } | { readonly kind: 'failed'; readonly message: string };

/** The guest's own error answer, worded as the original does (hcs-runtime E.3). */
export class GuestRefusal extends Error {
  override readonly name = 'GuestRefusal';
  /** Unsigned 32 bits; guest results compare as unsigned (E.3). */
  readonly hresult: number;

  constructor(result: number, message: string) {
    const unsigned = result >>> 0;
    super(`guest RPC failure: ${message === '' ? `HRESULT 0x${unsigned.toString(16)}` : message}`);
    this.hresult = unsigned;
  }
}

export class BridgeClosedError extends Error {
  override readonly name = 'BridgeClosedError';
  readonly end: BridgeEnd;

  constructor(end: BridgeEnd) {
    super(end.kind === 'failed' ? `bridge closed: ${end.message}` : 'bridge closed');
    this.end = end;
  }
}

/** The guest has not answered in time. The connection stays, and the guest may still carry out the request. */
export class GuestUnansweredError extends Error {
  override readonly name = 'GuestUnansweredError';
}

export class GuestProtocolError extends Error {
  override readonly name = 'GuestProtocolError';
}
