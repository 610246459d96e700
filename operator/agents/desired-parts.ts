// Sends a host's desired state in parts. No part has more VMs or bytes than a frame may have.
import { type Assignment, limits } from '../../protocol/messages.ts';

const envelopeBytes = 1_024;

export class DesiredParts {
  readonly #send: (virtualMachines: Assignment[], last: boolean) => void;
  #assignments: Assignment[] = [];
  #bytes = envelopeBytes;

  constructor(send: (virtualMachines: Assignment[], last: boolean) => void) {
    this.#send = send;
  }

  add(assignment: Assignment): void {
    const size = Buffer.byteLength(JSON.stringify(assignment)) + 1;
    const isFull = this.#assignments.length >= limits.partElements || this.#bytes + size > limits.frameBytes;
    if (isFull && this.#assignments.length > 0) this.#send(this.#take(), false);
    this.#assignments.push(assignment);
    this.#bytes += size;
  }

  /** All VMs were added. */
  end(): void {
    this.#send(this.#take(), true);
  }

  #take(): Assignment[] {
    const taken = this.#assignments;
    this.#assignments = [];
    this.#bytes = envelopeBytes;
    return taken;
  }
}
