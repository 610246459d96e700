// LinuxUtilityVMHost: a Windows node that runs LinuxUtilityVMs, named after its Node. The operator creates it when the
// node's agent first reports, and writes its status; its spec is for administrators.
import { z } from 'zod';
import { count, flag, listAtomic, listMap, listSet, maxMemoryInMB, text, timestamp } from './fields.ts';
import type { Kind } from './kind.ts';
import { apiVersion, hostPlural } from './names.ts';
import { conditions, objectMeta, observedGeneration, unseen } from './object.ts';

export const linuxUtilityVMHostSpec = z
  .object({
    unschedulable: flag('Place no further VMs on the host. The VMs that it has stay.'),
    reservedMemoryInMB: count('Memory to keep for the host itself, in MB.', 0, maxMemoryInMB).optional(),
    memoryOvercommitPercent: count('How much of the memory may be promised to VMs, in percent.', 1, 10_000).default(
      100,
    ),
    maxVirtualMachines: count('The most VMs that may be placed on the host.').optional(),
  })
  .meta({ description: 'Which VMs may be placed on the host.' })
  .prefault({});

export type LinuxUtilityVMHostSpec = z.infer<typeof linuxUtilityVMHostSpec>;

export const linuxUtilityVMHostStatus = z
  .object({
    observedGeneration,
    conditions,
    session: z
      .object({
        replica: text('The operator replica that the agent is connected to.', 253).optional(),
        epoch: count('Number of the session; messages of an older session are ignored.'),
        nodeUID: text('The uid of the Node that the agent proved to run on.', 64).optional(),
        endedAt: timestamp(
          'When the session was judged to have ended, 60 s after it was lost. The host has no VM that was created later.',
        ).optional(),
      })
      .meta({ description: 'The current or last session of the agent.' })
      .optional(),
    agentVersion: text('Version of the agent.', 128).optional(),
    osBuild: count('Build number of Windows.').optional(),
    architecture: text('Processor architecture: amd64 or arm64.', 32).optional(),
    logicalProcessors: count('Logical processors of the host.').optional(),
    memoryInMB: count('Memory of the host, in MB.').optional(),
    numaNodes: z
      .array(
        z.object({
          number: count('Number of the NUMA node.'),
          logicalProcessors: count('Logical processors of the NUMA node.').optional(),
          memoryInMB: count('Memory of the NUMA node, in MB.').optional(),
        }),
      )
      .max(256)
      .meta({ description: 'NUMA nodes of the host.', ...listMap('number') })
      .optional(),
    isolation: z
      .array(z.string().max(64))
      .max(16)
      .meta({ description: 'Kinds of isolation that the host can give to a VM, such as SNP.', ...listSet })
      .optional(),
    bootFiles: z
      .array(
        z.object({
          path: text('The folder.'),
          files: z
            .array(z.string().max(256))
            .max(256)
            .meta({
              description: 'The files in the folder. If some are left out, the last entry has their number.',
              ...listAtomic,
            })
            .optional(),
        }),
      )
      .max(64)
      .meta({ description: 'Folders with boot files.', ...listMap('path') })
      .optional(),
    hnsVersion: text('Version of the Host Networking Service (HNS) of the host.', 32).optional(),
    networks: z
      .array(
        z.object({
          name: text('Name of the network. Several networks may have the same name.', 256),
          id: text('The GUID of the network.', 64),
          type: text('Kind of the network, such as NAT, L2Bridge or Transparent.', 64),
          subnets: z
            .array(z.string().max(64))
            .max(8)
            .meta({ description: 'Subnets of the network, such as 172.20.0.0/16.', ...listAtomic })
            .optional(),
        }),
      )
      .max(64)
      .meta({ description: 'Networks of HNS on the host, as the agent has found them last.', ...listMap('id') })
      .optional(),
    virtualMachines: z
      .object({
        desired: count('VMs that are assigned to the host.'),
        running: count('Assigned VMs that run.'),
      })
      .meta({ description: 'The number of VMs on the host.' })
      .optional(),
  })
  .meta({ description: 'The state and the properties of the host. Written by the operator.', ...unseen });

export type LinuxUtilityVMHostStatus = z.infer<typeof linuxUtilityVMHostStatus>;

export const linuxUtilityVMHost = z
  .object({
    apiVersion: z.literal(apiVersion),
    kind: z.literal('LinuxUtilityVMHost'),
    metadata: objectMeta,
    spec: linuxUtilityVMHostSpec,
    status: linuxUtilityVMHostStatus.optional(),
  })
  .meta({ description: 'A Windows node that runs LinuxUtilityVMs.' });

export type LinuxUtilityVMHost = z.infer<typeof linuxUtilityVMHost>;

export const linuxUtilityVMHostKind: Kind = {
  kind: 'LinuxUtilityVMHost',
  plural: hostPlural,
  singular: 'linuxutilityvmhost',
  shortNames: ['luvmhost', 'luvmhosts'],
  categories: ['lcow'],
  scope: 'Cluster',
  schema: linuxUtilityVMHost,
  columns: [
    {
      name: 'Connected',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Connected")].status',
      description: 'Whether the agent of the host is connected.',
    },
    { name: 'Build', type: 'integer', jsonPath: '.status.osBuild', description: 'Build number of Windows.' },
    { name: 'CPUs', type: 'integer', jsonPath: '.status.logicalProcessors', description: 'Logical processors.' },
    {
      name: 'VMs',
      type: 'integer',
      jsonPath: '.status.virtualMachines.running',
      description: 'VMs that run on the host.',
    },
    { name: 'Agent', type: 'string', jsonPath: '.status.agentVersion', description: 'Version of the agent.' },
    {
      name: 'Age',
      type: 'date',
      jsonPath: '.metadata.creationTimestamp',
      description: 'When the host first reported.',
    },
    {
      name: 'Desired',
      type: 'integer',
      jsonPath: '.status.virtualMachines.desired',
      description: 'VMs that are assigned to the host.',
      wide: true,
    },
    { name: 'Memory', type: 'integer', jsonPath: '.status.memoryInMB', description: 'Memory in MB.', wide: true },
    {
      name: 'Arch',
      type: 'string',
      jsonPath: '.status.architecture',
      description: 'Processor architecture.',
      wide: true,
    },
    {
      name: 'Isolation',
      type: 'string',
      jsonPath: '.status.isolation',
      description: 'Isolation that the host offers.',
      wide: true,
    },
    {
      name: 'HNS',
      type: 'string',
      jsonPath: '.status.hnsVersion',
      description: 'Version of the Host Networking Service.',
      wide: true,
    },
    {
      name: 'Unschedulable',
      type: 'string',
      jsonPath: '.spec.unschedulable',
      description: 'Whether no further VMs are placed on the host.',
      wide: true,
    },
  ],
  selectableFields: [],
};
