// Objects for unit tests, as the API server would have stored them.

import {
  type LinuxUtilityVMManifestSpec,
  type LinuxUtilityVMStatus,
  linuxUtilityVMSpec,
} from '../../../crds/linux-utility-vm.ts';
import {
  type LinuxUtilityVMHostSpec,
  type LinuxUtilityVMHostStatus,
  linuxUtilityVMHostSpec,
} from '../../../crds/linux-utility-vm-host.ts';
import { type LinuxUtilityVMSetStatus, linuxUtilityVMSetSpec } from '../../../crds/linux-utility-vm-set.ts';
import type {
  Host,
  MachineSet,
  Node,
  SpecEssentials,
  SpecPart,
  VirtualMachine,
} from '../../../operator/kubernetes/objects.ts';

export const someUid = '6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e3f';

export function makeMachine(
  changes: {
    spec?: LinuxUtilityVMManifestSpec;
    status?: LinuxUtilityVMStatus;
    metadata?: Partial<VirtualMachine['metadata']>;
  } = {},
): VirtualMachine {
  return {
    metadata: {
      name: 'vm',
      namespace: 'default',
      uid: someUid,
      resourceVersion: '1',
      generation: 1,
      ...changes.metadata,
    },
    spec: { ok: true, value: linuxUtilityVMSpec.parse(changes.spec ?? {}) },
    status: changes.status ?? {},
  };
}

export function makeSet(
  name: string,
  { spec = {}, status = {} }: { spec?: object; status?: LinuxUtilityVMSetStatus } = {},
): MachineSet {
  return {
    metadata: { name, namespace: 'default', uid: `uid-of-${name}`, resourceVersion: '1', generation: 1 },
    spec: { ok: true, value: linuxUtilityVMSetSpec.parse({ template: { spec: {} }, ...spec }) },
    status,
  };
}

/** The spec of an object that does not match the schema. */
export function unreadableSpec(essentials: Partial<SpecEssentials> = {}): SpecPart {
  const all = { runStrategy: 'Always', nodeName: undefined, tolerations: [], ...essentials } as const;
  return { ok: false, message: 'spec.memory', essentials: all };
}

export function makeHost(
  name: string,
  status: LinuxUtilityVMHostStatus = {},
  spec: Partial<LinuxUtilityVMHostSpec> = {},
): Host {
  return {
    metadata: { name, uid: `uid-of-${name}`, resourceVersion: '1', generation: 1 },
    spec: linuxUtilityVMHostSpec.parse(spec),
    status: { osBuild: 20_348, architecture: 'amd64', memoryInMB: 65_536, ...status },
  };
}

export function makeNode(
  name: string,
  changes: { labels?: Record<string, string>; spec?: Partial<Node['spec']>; status?: Node['status'] } = {},
): Node {
  return {
    metadata: { name, uid: `node-uid-of-${name}`, resourceVersion: '1', generation: 0, labels: changes.labels ?? {} },
    spec: { unschedulable: false, taints: [], ...changes.spec },
    status: changes.status,
  };
}
