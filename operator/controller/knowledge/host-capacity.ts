// How much memory may be promised on a host: the size that its agent reports, but no more than its Node's kubelet
// states, times the overcommitment that an administrator allows, minus the memory reserved for the host itself.
import type { Host, Node } from '../../kubernetes/objects.ts';
import { parseQuantity } from '../../kubernetes/quantity.ts';

const bytesPerMB = 2 ** 20;

export function allocatableMemoryInMB(host: Host, node: Node | undefined): number {
  const claimed = host.status.memoryInMB ?? 0;
  const memory = Math.min(claimed, statedMemoryInMB(node) ?? claimed);
  return (memory * host.spec.memoryOvercommitPercent) / 100 - (host.spec.reservedMemoryInMB ?? 0);
}

/** Undefined when the Node states no size, or an unreadable one: then it sets no bound. */
function statedMemoryInMB(node: Node | undefined): number | undefined {
  const stated = node?.status?.capacity?.memory;
  const bytes = stated === undefined ? undefined : parseQuantity(stated);
  return bytes === undefined ? undefined : bytes / bytesPerMB;
}
