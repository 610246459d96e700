// Memory, processors and virtual NUMA nodes of a VM.
import { z } from 'zod';
import { count, flag, guid, listAtomic, maxMemoryInMB, maxUint32, rules } from '../fields.ts';

export const memory = z
  .object({
    sizeInMB: count(
      'Memory of the VM in MB, rounded up to an even number. Can change while the VM runs, unless the VM has vNUMA nodes or is isolated by SNP.',
      1,
      maxMemoryInMB,
    ).default(1024),
    allowOvercommit: flag('Back the memory by the page file (the default) instead of by physical memory.'),
    fullyPhysicallyBacked: flag(
      'Back the memory of the VM, and of devices that are added later, by physical memory. Also means allowOvercommit false and no VPMem devices.',
    ),
    enableDeferredCommit: flag('Commit memory only when the guest touches it. Needs allowOvercommit.'),
    enableColdDiscardHint: flag('Let the guest report pages that it no longer needs. Needs host build 18967.'),
    lowMMIOGapInMB: count('Size of the MMIO gap below 4 GiB, in MB.').optional(),
    highMMIOBaseInMB: count('Base address of the MMIO gap above 4 GiB, in MB.').optional(),
    highMMIOGapInMB: count('Size of the MMIO gap above 4 GiB, in MB.').optional(),
  })
  .meta({
    description: 'Memory of the VM.',
    ...rules(
      {
        rule: '!self.?enableDeferredCommit.orValue(false) || self.?allowOvercommit.orValue(true)',
        message:
          'memory.enableDeferredCommit is not supported on physically backed VMs: leave it out, or set memory.allowOvercommit to true',
        fieldPath: '.enableDeferredCommit',
      },
      {
        rule: '!self.?enableDeferredCommit.orValue(false) || !self.?fullyPhysicallyBacked.orValue(false)',
        message:
          'memory.enableDeferredCommit is not supported on physically backed VMs: leave it or memory.fullyPhysicallyBacked out',
        fieldPath: '.enableDeferredCommit',
      },
      {
        rule: '!self.?fullyPhysicallyBacked.orValue(false) || !self.?allowOvercommit.orValue(false)',
        message: 'memory.allowOvercommit must not be true with memory.fullyPhysicallyBacked: leave one of them out',
        fieldPath: '.allowOvercommit',
      },
    ),
  })
  .prefault({});

export const processor = z
  .object({
    count: count(
      'Number of virtual processors, lowered to the number that the host has. Absent means 2, or 1 on a host with one processor.',
      1,
      2048,
    ).optional(),
    limit: count(
      'Most processor time that the VM may use; 100000 means all of its processors. Can change while the VM runs.',
      1,
      100_000,
    ).optional(),
    weight: count('Share of processor time under contention. Can change while the VM runs.', 1, 10_000).optional(),
    cpuGroupID: guid(
      'The CPU group to put the VM in; the host’s agent must allow it (--allowed-cpu-group). Needs host build 19043. Can change while the VM runs.',
    ).optional(),
  })
  .meta({ description: 'Processors of the VM.' })
  .optional();

const numaNode = z
  .object({
    physicalNode: count('The host’s NUMA node that backs this one: 0 to 63, or 255 for any.', 0, 255),
    processors: count('Virtual processors of this node.', 0, 2048),
    memoryInMB: count('Memory of this node in MB.', 1, maxMemoryInMB),
  })
  .meta({
    description: 'A virtual NUMA node.',
    ...rules({
      rule: 'self.physicalNode < 64 || self.physicalNode == 255',
      message: 'physicalNode must be a host node from 0 to 63, or 255 for any',
      fieldPath: '.physicalNode',
    }),
  });

export const numa = z
  .object({
    maxProcessorsPerNode: count(
      'Let the host lay out the nodes, each with at most this number of processors. Needs maxMemoryPerNodeInMB.',
      1,
      maxUint32,
    ).optional(),
    maxMemoryPerNodeInMB: count(
      'The most memory of each node that the host lays out, in MB. Needs maxProcessorsPerNode.',
      1,
      maxMemoryInMB,
    ).optional(),
    nodes: z
      .array(numaNode)
      .min(1)
      .max(64)
      .meta({
        description:
          'The nodes in order. Their memory adds up to memory.sizeInMB, and their processors to processor.count.',
        ...listAtomic,
        ...rules(
          {
            rule: 'self.all(node, (node.physicalNode == 255) == (self[0].physicalNode == 255))',
            message: 'numa.nodes must all name a host node as physicalNode, or all have 255 for any: do not mix them',
          },
          {
            rule: 'self.exists(node, node.processors > 0)',
            message: 'numa.nodes must have processors: set processors of at least one node to more than 0',
          },
        ),
      })
      .optional(),
    preferredPhysicalNodes: z
      .array(count('A NUMA node of the host.', 0, maxUint32))
      .max(64)
      .meta({ description: 'NUMA nodes of the host to prefer, for both forms of vNUMA.', ...listAtomic })
      .optional(),
  })
  .meta({
    description:
      'Virtual NUMA topology. Either the host lays it out (maxProcessorsPerNode), or the manifest gives it (nodes). Needs host build 26100.',
    ...rules(
      {
        rule: '!has(self.maxProcessorsPerNode) || has(self.maxMemoryPerNodeInMB)',
        message: 'numa.maxMemoryPerNodeInMB is required with numa.maxProcessorsPerNode: set it too',
        fieldPath: '.maxMemoryPerNodeInMB',
      },
      {
        rule: '!has(self.nodes) || !(has(self.maxProcessorsPerNode) || has(self.maxMemoryPerNodeInMB))',
        message:
          'numa.nodes cannot be combined with numa.maxProcessorsPerNode or numa.maxMemoryPerNodeInMB: keep the one or the other',
        fieldPath: '.nodes',
      },
    ),
  })
  .optional();
