// The manifest of a set's VM, as the set applies it: what it does not name stays with the VM's other managers.
import {
  finalizer,
  ordinalLabel,
  replacedOnAnnotation,
  restartedAtAnnotation,
  revisionLabel,
  setLabel,
} from '../../../crds/linux-utility-vm.ts';
import type { SetTemplate } from '../../../crds/set/template.ts';
import { expanded } from '../../../sets/expansion.ts';
import { machineName } from '../../../sets/ordinals.ts';
import type { MachineSet, VirtualMachine } from '../../kubernetes/objects.ts';
import { absent } from '../../kubernetes/resource-client.ts';
import { ownerOf } from './revision-store.ts';

export interface ManifestParts {
  readonly set: MachineSet;
  readonly ordinal: number;
  readonly template: SetTemplate;
  readonly revision: string;
  /** The VM as it is; undefined for one that is to be made. */
  readonly object: VirtualMachine | undefined;
  /** For a VM that is to be made: the host on which its predecessor could not start. */
  readonly replacedOn?: string | undefined;
  /** A new value restarts the VM. */
  readonly restartedAt: string | undefined;
}

export function machineManifest(parts: ManifestParts) {
  const { set, ordinal, template, revision, object, replacedOn, restartedAt } = parts;
  const { name: setName, namespace } = set.metadata;
  const name = machineName(setName, ordinal);
  const { metadata = {}, spec } = expanded(template, { name, ordinal });
  const { [restartedAtAnnotation]: _, ...annotations } = metadata.annotations ?? {};
  // Left out, an earlier value of the set would be removed.
  const restart = restartedAt ?? object?.metadata.annotations?.[restartedAtAnnotation];
  // A new VM has the finalizer from its beginning, which saves the write that would add it. Left out later, it would be
  // removed.
  const isHeld = object === undefined || object.metadata.finalizers?.includes(finalizer) === true;
  return {
    metadata: {
      name,
      namespace,
      ...(object === undefined
        ? { resourceVersion: absent }
        : { uid: object.metadata.uid, resourceVersion: object.metadata.resourceVersion }),
      labels: {
        ...metadata.labels,
        [setLabel]: setName,
        [ordinalLabel]: String(ordinal),
        [revisionLabel]: revision,
      },
      annotations: {
        ...annotations,
        ...(restart !== undefined && { [restartedAtAnnotation]: restart }),
        ...(replacedOn !== undefined && { [replacedOnAnnotation]: replacedOn }),
      },
      ...(isHeld && { finalizers: [finalizer] }),
      ownerReferences: [ownerOf(set)],
    },
    spec,
  };
}
