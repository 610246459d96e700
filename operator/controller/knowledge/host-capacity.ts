// How much memory may be promised on a host: what its agent claims, but no more than the kubelet of its Node states, times
// the overcommitment that an administrator allows, less what is reserved for the host itself.
import type { Host, Node } from '../../kubernetes/objects.ts';
import { parseQuantity } from '../../kubernetes/quantity.ts';

const bytesPerMB = 2 ** 20;

export function allocatableMemoryInMB(host: Host, node: Node | undefined): number {
  const claimed = host.status.memoryInMB ?? 0;
  const memory = Math.min(claimed, statedMemoryInMB(node) ?? claimed);
  return (memory * host.spec.memoryOvercommitPercent) / 100 - (host.spec.reservedMemoryInMB ?? 0);
}

/** A Node that states nothing, or nothing that can be read, bounds nothing. */
function statedMemoryInMB(node: Node | undefined): number | undefined {
  const stated = node?.status?.capacity?.memory;
  const bytes = stated === undefined ? undefined : parseQuantity(stated);
  return bytes === undefined ? undefined : bytes / bytesPerMB;
}
