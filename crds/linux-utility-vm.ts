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
    { name: 'Phase', type: 'string', jsonPath: '.status.phase', description: 'Where the VM is in its life.' },
    {
      name: 'Ready',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Ready")].status',
      description: 'Whether it does what the spec asks for.',
    },
    { name: 'Node', type: 'string', jsonPath: '.status.nodeName', description: 'The node it is assigned to.' },
    { name: 'Restarts', type: 'integer', jsonPath: '.status.restarts', description: 'How often it was started again.' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'When it was created.' },
    {
      name: 'Reason',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
      description: 'Why it is ready or not.',
      wide: true,
    },
    {
      name: 'Restart',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="RestartRequired")].status',
      description: 'True when only a restart gives it what the manifest asks for now.',
      wide: true,
    },
    {
      name: 'Paused',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Paused")].status',
      description: 'True while an annotation holds it as it is: Ready may be about an earlier manifest.',
      wide: true,
    },
    {
      name: 'Strategy',
      type: 'string',
      jsonPath: '.spec.runStrategy',
      description: 'Whether it shall run.',
      wide: true,
    },
    {
      name: 'Guest',
      type: 'string',
      jsonPath: '.status.guest.osType',
      description: 'Guest that answered.',
      wide: true,
    },
    { name: 'CPUs', type: 'integer', jsonPath: '.status.processorCount', description: 'Its processors.', wide: true },
    {
      name: 'Memory',
      type: 'integer',
      jsonPath: '.status.memorySizeInMB',
      description: 'Its memory in MB.',
      wide: true,
    },
    {
      name: 'Isolation',
      type: 'string',
      jsonPath: '.spec.confidential.isolation',
      description: 'SNP if confidential.',
      wide: true,
    },
    {
      name: 'Last Exit',
      type: 'string',
      jsonPath: '.status.lastExit.type',
      description: 'How it ended last.',
      wide: true,
    },
    {
      name: 'Runtime ID',
      type: 'string',
      jsonPath: '.status.runtimeID',
      description: 'Its id in Hyper-V.',
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
