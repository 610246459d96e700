// Collects a host's desired state for `desired` messages, none with more VMs or bytes than a frame may have.
import { type Assignment, limits } from '../../protocol/messages.ts';

const envelopeBytes = 1_024;

export class DesiredPart {
  #assignments: Assignment[] = [];
  #bytes = envelopeBytes;

  /** False when what is there must be sent first. */
  add(assignment: Assignment): boolean {
    const size = Buffer.byteLength(JSON.stringify(assignment)) + 1;
    const isFull = this.#assignments.length >= limits.partElements || this.#bytes + size > limits.frameBytes;
    if (isFull && this.#assignments.length > 0) return false;
    this.#assignments.push(assignment);
    this.#bytes += size;
    return true;
  }

  /** What was added since the last time. */
  take(): Assignment[] {
    const taken = this.#assignments;
    this.#assignments = [];
    this.#bytes = envelopeBytes;
    return taken;
  }
}
