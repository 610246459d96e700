// Cuts a host's desired state into `desired` messages, none with more VMs or bytes than a frame may have.
import { type Element, limits } from '../../protocol/messages.ts';
import type { DesiredMachine } from '../controller/agents.ts';

const envelopeBytes = 1_024;

/** At least one part, so that a host without VMs hears that this is all. */
export function desiredParts(machines: readonly DesiredMachine[]): readonly (readonly Element[])[] {
  const parts: Element[][] = [[]];
  let bytes = envelopeBytes;
  for (const { assignment } of machines) {
    const size = Buffer.byteLength(JSON.stringify(assignment)) + 1;
    const current = parts.at(-1);
    if (current === undefined || current.length >= limits.partElements || bytes + size > limits.frameBytes) {
      parts.push([assignment]);
      bytes = envelopeBytes + size;
    } else {
      current.push(assignment);
      bytes += size;
    }
  }
  return parts;
}
