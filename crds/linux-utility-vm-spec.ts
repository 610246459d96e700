// The spec of a LinuxUtilityVM. Every option of docs/reference/hcs-documents.md §1 has a field.
//
// A field that is left out has the reference's default on the host that the VM runs on. So only defaults that depend
// neither on the host nor on another field are written here. A rule refuses values that are wrong on every host; the
// agent reports values that only its host can judge. Rules that span sections stand on the spec, never on the root: on
// the root they would also apply to writes of status and finalizers, and an object that a later rule forbids could not
// be deleted.
import { z } from 'zod';
import { guid, type Rule, rules } from './fields.ts';
import { nodeName, nodeSelector, tolerations } from './placement.ts';
import { boot } from './spec/boot.ts';
import { confidential } from './spec/confidential.ts';
import { consoleSettings, devices, hvSocket } from './spec/devices.ts';
import { fileShares } from './spec/file-shares.ts';
import { guest } from './spec/guest.ts';
import { distinctMounts } from './spec/mount-paths.ts';
import { process } from './spec/process.ts';
import { storage } from './spec/storage.ts';
import { memory, numa, processor } from './spec/topology.ts';

const snp = "self.?confidential.?isolation.orValue('None') == 'SNP'";
const physicallyBacked =
  '(!self.?memory.?allowOvercommit.orValue(true) || self.?memory.?fullyPhysicallyBacked.orValue(false))';

const hasShares = '(has(self.fileShares) && has(self.fileShares.shares) && size(self.fileShares.shares) > 0)';

/** Rules across the sections of a spec. They also apply to the spec in a template. */
export const specRules: readonly Rule[] = [
  {
    rule: '!has(self.resourcePartitionID) || !has(self.processor) || !has(self.processor.cpuGroupID)',
    message: 'resourcePartitionID and processor.cpuGroupID cannot be set at the same time: leave one of them out',
    fieldPath: '.resourcePartitionID',
  },
  {
    rule: '!self.?memory.?fullyPhysicallyBacked.orValue(false) || self.?storage.?vpmem.?deviceCount.orValue(0) == 0',
    message: 'storage.vpmem.deviceCount must be 0 or absent with memory.fullyPhysicallyBacked: leave one of them out',
    fieldPath: '.storage.vpmem.deviceCount',
  },
  {
    rule: `!self.?memory.?enableDeferredCommit.orValue(false) || !(${snp})`,
    message:
      'memory.enableDeferredCommit is not supported with confidential.isolation SNP, whose memory is physically backed: leave it out',
    fieldPath: '.memory.enableDeferredCommit',
  },
  {
    rule: `!(has(self.numa) && (has(self.numa.nodes) || has(self.numa.maxProcessorsPerNode))) || ${snp} || ${physicallyBacked}`,
    message:
      'numa needs physically backed memory: set memory.allowOvercommit to false or memory.fullyPhysicallyBacked to true',
    fieldPath: '.numa',
  },
  {
    rule: `!has(self.numa) || !has(self.numa.nodes) || ${snp} || !has(self.memory) || self.numa.nodes.map(node, node.memoryInMB).sum() == (self.memory.sizeInMB + 1) / 2 * 2`,
    message:
      'numa.nodes must have the memory of the VM: make memoryInMB of all nodes add up to memory.sizeInMB, rounded up to an even number',
    fieldPath: '.numa.nodes',
  },
  {
    rule: `!has(self.numa) || !has(self.numa.nodes) || ${snp} || !has(self.processor) || !has(self.processor.count) || self.numa.nodes.map(node, node.processors).sum() <= self.processor.count`,
    message:
      'numa.nodes must not have more processors than the VM: make processors of all nodes add up to processor.count',
    fieldPath: '.numa.nodes',
  },
  {
    rule: '!has(self.confidential) || self.terminateOnAgentExit',
    message:
      'terminateOnAgentExit must not be false with confidential, whose command line is sealed: leave terminateOnAgentExit out',
    fieldPath: '.terminateOnAgentExit',
  },
  {
    rule: '!has(self.confidential) || self.?guest.?useConnection.orValue(true)',
    message:
      'guest.useConnection must not be false with confidential: the policy is sent over that connection; leave it out',
    fieldPath: '.guest.useConnection',
  },
  {
    rule: '!has(self.storage) || !has(self.storage.disks) || self.?guest.?useConnection.orValue(true) || !self.storage.disks.exists(disk, has(disk.mountPath) || has(disk.filesystem))',
    message:
      'guest.useConnection must not be false with mountPath or filesystem in storage.disks: the guest is told to mount over that connection',
    fieldPath: '.guest.useConnection',
  },
  {
    rule: `!${hasShares} || self.?guest.?useConnection.orValue(true)`,
    message:
      'guest.useConnection must not be false with fileShares.shares: the guest is told to mount over that connection',
    fieldPath: '.guest.useConnection',
  },
  {
    rule: `!${hasShares} || !has(self.confidential)`,
    message: 'fileShares.shares must be empty with confidential: the host could change what such a guest reads',
    fieldPath: '.fileShares.shares',
  },
  distinctMounts,
  {
    rule: '!has(self.process) || self.?guest.?useConnection.orValue(true)',
    message:
      'guest.useConnection must not be false with process: the guest is told over that connection to start it; leave it out',
    fieldPath: '.guest.useConnection',
  },
];

export const linuxUtilityVMSpec = z
  .object({
    nodeName,
    nodeSelector,
    tolerations,
    runStrategy: z
      .enum(['Always', 'RerunOnFailure', 'Once', 'Halted'])
      .meta({
        description:
          'When the VM runs. Always: it is restarted whenever it ends. RerunOnFailure: it is restarted unless it ended well. Once: it runs once. Halted: it stays stopped. A VM that ended well stays ended when RerunOnFailure is set to Halted and back; lcow.dev/restartedAt starts it again.',
      })
      .default('Always'),
    updateStrategy: z
      .enum(['OnRestart', 'Recreate'])
      .meta({
        description:
          'What happens when a field changes that takes effect only at creation. OnRestart: the change waits for the next restart. Recreate: the VM is recreated now.',
      })
      .default('OnRestart'),
    terminateOnAgentExit: z
      .boolean()
      .meta({
        description:
          'Whether the VM ends together with the agent on its node. False needs a guest image of hcsshim v0.15.0 (July 2026) or later, whose vsockexec relays logs (-r), and is not possible with confidential.',
      })
      .default(true),
    memory,
    processor,
    numa,
    boot,
    storage,
    devices,
    console: consoleSettings,
    hvSocket,
    guest,
    fileShares,
    process,
    confidential,
    resourcePartitionID: guid(
      'The resource partition to put the VM in; the host’s agent must allow it (--allowed-resource-partition). Not with processor.cpuGroupID.',
    ).optional(),
  })
  .meta({
    description: 'The desired VM. A field that is left out has the default of the host that the VM runs on.',
    ...rules(...specRules),
  });

export type LinuxUtilityVMSpec = z.infer<typeof linuxUtilityVMSpec>;
/** The spec as a manifest may give it: fields with a default may be missing. */
export type LinuxUtilityVMManifestSpec = z.input<typeof linuxUtilityVMSpec>;
