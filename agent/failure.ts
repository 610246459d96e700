// A failure of a VM: the reason that users see, a text for people, and through the reason whether another try can help.
import { type ReasonCode, reasons } from '../protocol/reasons.ts';

export class MachineFailure extends Error {
  override readonly name = 'MachineFailure';
  readonly reason: ReasonCode;

  constructor(reason: ReasonCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.reason = reason;
  }

  /** Not an error: the VM waits for another VM of the host to release something. */
  get waits(): boolean {
    return isWait(this.reason);
  }

  get stalls(): boolean {
    return reasons[this.reason].action === 'stall';
  }
}

export function isWait(reason: ReasonCode): boolean {
  return reason === 'PipeInUse' || reason === 'DiskInUse';
}
