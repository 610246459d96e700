// The errors of a simulated guest (hcs-runtime E.3).

export const guestResults = {
  notSupported: 0x8000_4001,
  unspecified: 0x8000_4005,
  invalidJson: 0xc037_010d,
  protocolRange: 0xc037_010c,
  noSuchContainer: 0xc037_010e,
  noSuchProcess: 0x8007_0490,
} as const;

/** A failure that the guest reports to the host. */
export class GuestFailure extends Error {
  readonly result: number;

  constructor(result: number, message: string) {
    super(message);
    this.result = result;
  }
}
