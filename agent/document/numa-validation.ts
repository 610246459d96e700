// The checks on explicit vNUMA nodes (docs/reference/hcs-documents.md §5.2): per node in this order, then on the totals.
import { Limit, wildcardNumaNode } from './constants.ts';
import { DocumentError } from './outcome.ts';

export interface NumaNode {
  readonly virtualNode: number;
  readonly physicalNode: number;
  readonly processors: number;
  /** 64 bits, one block = 1 MB. */
  readonly memoryBlocks: bigint;
}

export interface NumaTotal {
  readonly processors: number;
  readonly memoryBlocks: bigint;
}

/** Sums wrap in the original's widths, 32 and 64 bits (quirk 22). */
function sumNodes(nodes: readonly NumaNode[]): NumaTotal {
  let processors = 0;
  let memoryBlocks = 0n;
  for (const node of nodes) {
    processors = (processors + node.processors) >>> 0;
    memoryBlocks = BigInt.asUintN(64, memoryBlocks + node.memoryBlocks);
  }
  return { processors, memoryBlocks };
}

/** Returns the nodes' totals. */
export function validateNodes(nodes: readonly NumaNode[]): NumaTotal {
  const wildcard = nodes[0]?.physicalNode === wildcardNumaNode;
  for (const node of nodes) {
    validateNode(node, wildcard);
  }
  const total = sumNodes(nodes);
  if ((total.memoryBlocks === 0n) !== (total.processors === 0)) {
    throw new DocumentError('InvalidNuma', 'partial resource allocation is not allowed');
  }
  // Every node has memory, so only a total that wrapped can be 0.
  if (total.memoryBlocks === 0n && wildcard) {
    throw new DocumentError('InvalidNuma', 'completely empty topology is not allowed');
  }
  return total;
}

function validateNode(node: NumaNode, wildcard: boolean): void {
  const { virtualNode, physicalNode } = node;
  if (virtualNode > Limit.NumaNode) {
    throw tooLarge('virtual', virtualNode);
  }
  // 64 itself is refused here and accepted above, with the same message.
  if (physicalNode !== wildcardNumaNode && physicalNode >= Limit.NumaNode) {
    throw tooLarge('physical', physicalNode);
  }
  if ((physicalNode === wildcardNumaNode) !== wildcard) {
    // Quirk 16: when the wildcard comes second, the number printed as "non-wildcard" is also 255.
    throw new DocumentError(
      'InvalidNuma',
      `vNUMA has a mix of wildcard (${wildcardNumaNode}) and non-wildcard (${physicalNode}) physical node numbers`,
    );
  }
  if (node.memoryBlocks === 0n) {
    throw new DocumentError('InvalidNuma', 'vNUMA nodes with no memory are not allowed');
  }
}

function tooLarge(kind: 'virtual' | 'physical', number: number): DocumentError {
  return new DocumentError(
    'InvalidNuma',
    `vNUMA ${kind} node number ${number} exceeds maximum allowed value ${Limit.NumaNode}`,
  );
}
