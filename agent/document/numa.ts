// Virtual NUMA: from the options to the document (docs/reference/hcs-documents.md §5.1, §5.3, §5.4). numa-validation.ts
// checks the explicit form.
import { type BuildContext, warn } from './build-context.ts';
import { Build } from './constants.ts';
import { uint64 } from './json-numbers.ts';
import { type NumaNode, type NumaTotal, validateNodes } from './numa-validation.ts';
import type { LinuxOptions } from './options.ts';
import { DocumentError } from './outcome.ts';
import type { Numa, NumaProcessors, NumaSetting, Writable } from './schema.ts';

/** How memory distances are described to the guest. Written with vNUMA only. */
export const numaSlitType = 'FirmwareFallbackMeasured';

export interface NumaTopology {
  readonly numa: Numa;
  /** Implicit form only. */
  readonly processors: NumaProcessors | undefined;
  /** The nodes' totals; 0 for the implicit form. */
  readonly total: NumaTotal;
}

export function prepareNuma(context: BuildContext): NumaTopology | undefined {
  const { options, host } = context;
  const implicit = options.MaxProcessorsPerNumaNode > 0;
  if (!implicit && options.NumaMappedPhysicalNodes.length === 0) {
    warnOfStrayOptions(context);
    return undefined;
  }
  if (host.build < Build.VirtualNuma) {
    throw numaError(`vNUMA topology is not supported on ${host.build} version of Windows`);
  }
  // The implicit form wins; explicit lists are ignored.
  return implicit ? implicitTopology(options) : explicitTopology(options);
}

/** Options that have no effect without their switch are ignored, on old builds too. */
function warnOfStrayOptions(context: BuildContext): void {
  const { options } = context;
  if (options.MaxMemorySizePerNumaNode > 0n || options.PreferredPhysicalNumaNodes.length > 0) {
    warn(context, 'IncompleteImplicitNuma', 'potentially incomplete implicit vNUMA topology');
  }
  if (options.NumaProcessorCounts.length > 0 || options.NumaMemoryBlocksCounts.length > 0) {
    warn(context, 'IncompleteExplicitNuma', 'potentially incomplete explicit vNUMA topology');
  }
}

function implicitTopology(options: LinuxOptions): NumaTopology {
  if (options.MaxMemorySizePerNumaNode === 0n) {
    throw numaError('max size per node must be set when max processors per numa node is set');
  }
  return {
    numa: { ...preferredNodes(options), MaxSizePerNode: uint64(options.MaxMemorySizePerNumaNode) },
    processors: { count_per_node: { max: options.MaxProcessorsPerNumaNode } },
    total: { processors: 0, memoryBlocks: 0n },
  };
}

function explicitTopology(options: LinuxOptions): NumaTopology {
  const nodes = pairLists(options);
  const total = validateNodes(nodes);
  return {
    // The count is an 8-bit number in the schema, but validation lets no more than 65 nodes pass.
    numa: { VirtualNodeCount: nodes.length, ...preferredNodes(options), Settings: nodes.map(numaSetting) },
    processors: undefined,
    total,
  };
}

/** Builds one node from the entries of the three parallel lists at the same index. */
function pairLists(options: LinuxOptions): NumaNode[] {
  const {
    NumaMappedPhysicalNodes: physical,
    NumaProcessorCounts: processors,
    NumaMemoryBlocksCounts: blocks,
  } = options;
  if (processors.length !== physical.length || blocks.length !== physical.length) {
    throw numaError(
      'mismatch in number of physical numa nodes and the corresponding processor and memory blocks count',
    );
  }
  return physical.map((physicalNode, virtualNode) => ({
    virtualNode,
    physicalNode,
    processors: processors[virtualNode] ?? 0,
    memoryBlocks: blocks[virtualNode] ?? 0n,
  }));
}

function numaSetting(node: NumaNode): NumaSetting {
  const setting: Writable<NumaSetting> = {};
  if (node.virtualNode !== 0) setting.VirtualNodeNumber = node.virtualNode;
  if (node.physicalNode !== 0) setting.PhysicalNodeNumber = node.physicalNode;
  if (node.virtualNode !== 0) setting.VirtualSocketNumber = node.virtualNode;
  if (node.processors !== 0) setting.CountOfProcessors = node.processors;
  setting.CountOfMemoryBlocks = uint64(node.memoryBlocks);
  setting.MemoryBackingType = 'Physical';
  return setting;
}

function preferredNodes({ PreferredPhysicalNumaNodes: nodes }: LinuxOptions): Pick<Numa, 'PreferredPhysicalNodes'> {
  return nodes.length === 0 ? {} : { PreferredPhysicalNodes: nodes };
}

/**
 * §5.3, after memory is normalised. One memory block counts as 1 MB. A sum of zero passes, so the implicit form always
 * fits.
 */
export function fitNuma(
  topology: NumaTopology,
  options: LinuxOptions,
  unsignedProcessorCount: number,
  memorySizeInMB: bigint,
): void {
  if (options.AllowOvercommit) {
    throw numaError('vNUMA supports only Physical memory backing type');
  }
  const { total } = topology;
  if (total.processors !== 0 && total.processors !== unsignedProcessorCount) {
    throw mismatch(`processor count ${total.processors} does not match UVM processor count ${unsignedProcessorCount}`);
  }
  if (total.memoryBlocks !== 0n && total.memoryBlocks !== memorySizeInMB) {
    throw mismatch(`memory ${total.memoryBlocks} does not match UVM memory ${memorySizeInMB}`);
  }
}

function mismatch(text: string): DocumentError {
  return numaError(`failed to validate vNUMA settings: vNUMA total ${text}`);
}

function numaError(text: string): DocumentError {
  return new DocumentError('InvalidNuma', text);
}
