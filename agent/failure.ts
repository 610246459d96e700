// A failure on the way of a VM: the reason that users see, the text for a human, and through the reason whether trying
// again can help.
import { type ReasonCode, reasons } from '../protocol/reasons.ts';

export class MachineFailure extends Error {
  override readonly name = 'MachineFailure';
  readonly reason: ReasonCode;

  constructor(reason: ReasonCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.reason = reason;
  }

  /** Nothing has failed: the VM waits for another one of the host. */
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
