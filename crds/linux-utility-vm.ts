// LinuxUtilityVM: a Linux utility VM on a Windows node.
import { z } from 'zod';
import { rules } from './fields.ts';
import type { Kind } from './kind.ts';
import { linuxUtilityVMSpec } from './linux-utility-vm-spec.ts';
import { linuxUtilityVMStatus } from './linux-utility-vm-status.ts';
import { apiVersion, virtualMachinePlural } from './names.ts';
import { objectMeta } from './object.ts';

export const linuxUtilityVM = z
  .object({
    apiVersion: z.literal(apiVersion),
    kind: z.literal('LinuxUtilityVM'),
    metadata: objectMeta,
    spec: linuxUtilityVMSpec,
    status: linuxUtilityVMStatus.optional(),
  })
  .meta({
    description: 'A Linux utility VM on a Windows node.',
    // Only transition rules may stand here. This one accepts every write that leaves the spec unchanged.
    ...rules({
      // `has()` instead of an optional: the API server estimates the cost of an optional value as if it had no bound.
      rule: `!has(oldSelf.status) || !has(oldSelf.status.nodeName) || (has(self.spec.nodeName) ? has(oldSelf.spec.nodeName) && self.spec.nodeName == oldSelf.spec.nodeName : !has(oldSelf.spec.nodeName))`,
      message:
        'spec.nodeName can change only while status.nodeName is absent: delete the VM and create it anew to move it',
      fieldPath: '.spec.nodeName',
    }),
  });

export type LinuxUtilityVM = z.infer<typeof linuxUtilityVM>;

export const linuxUtilityVMKind: Kind = {
  kind: 'LinuxUtilityVM',
  plural: virtualMachinePlural,
  singular: 'linuxutilityvm',
  shortNames: ['luvm', 'luvms'],
  categories: ['lcow'],
  scope: 'Namespaced',
  schema: linuxUtilityVM,
  columns: [
    { name: 'Phase', type: 'string', jsonPath: '.status.phase', description: 'The phase of the VM’s life.' },
    {
      name: 'Ready',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Ready")].status',
      description: 'Whether the VM is as the spec asks.',
    },
    { name: 'Node', type: 'string', jsonPath: '.status.nodeName', description: 'The Node that the VM is assigned to.' },
    {
      name: 'Restarts',
      type: 'integer',
      jsonPath: '.status.restarts',
      description: 'How often the VM was started again.',
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'When the object was created.' },
    {
      name: 'Reason',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
      description: 'Why the VM is ready or not.',
      wide: true,
    },
    {
      name: 'Restart',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="RestartRequired")].status',
      description: 'True when the VM needs a restart to become as the manifest asks.',
      wide: true,
    },
    {
      name: 'Paused',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Paused")].status',
      description: 'True while an annotation pauses the VM: Ready may be about an earlier manifest.',
      wide: true,
    },
    {
      name: 'Strategy',
      type: 'string',
      jsonPath: '.spec.runStrategy',
      description: 'When the VM runs.',
      wide: true,
    },
    {
      name: 'Guest',
      type: 'string',
      jsonPath: '.status.guest.osType',
      description: 'Operating system of the guest.',
      wide: true,
    },
    {
      name: 'CPUs',
      type: 'integer',
      jsonPath: '.status.processorCount',
      description: 'Processors of the VM.',
      wide: true,
    },
    {
      name: 'Memory',
      type: 'integer',
      jsonPath: '.status.memorySizeInMB',
      description: 'Memory of the VM in MB.',
      wide: true,
    },
    {
      name: 'Isolation',
      type: 'string',
      jsonPath: '.spec.confidential.isolation',
      description: 'SNP if the VM is isolated.',
      wide: true,
    },
    {
      name: 'Last Exit',
      type: 'string',
      jsonPath: '.status.lastExit.type',
      description: 'How the VM ended last.',
      wide: true,
    },
    {
      name: 'Exit',
      type: 'integer',
      jsonPath: '.status.process.exitCode',
      description: 'Exit code of the VM’s process.',
      wide: true,
    },
    {
      name: 'Runtime ID',
      type: 'string',
      jsonPath: '.status.runtimeID',
      description: 'Id of the running VM in Hyper-V.',
      wide: true,
    },
  ],
  selectableFields: ['.status.nodeName', '.status.phase'],
};

export type { LinuxUtilityVMManifestSpec, LinuxUtilityVMSpec } from './linux-utility-vm-spec.ts';
export { linuxUtilityVMSpec } from './linux-utility-vm-spec.ts';
export type { LinuxUtilityVMStatus, Phase } from './linux-utility-vm-status.ts';
export { linuxUtilityVMStatus } from './linux-utility-vm-status.ts';
export * from './names.ts';
export type { Condition } from './object.ts';
export type { Toleration } from './placement.ts';
