// Which VMs belong to a set, or claim to: by their label, and by their controller.
import { setLabel } from '../../../crds/linux-utility-vm.ts';
import type { StoredMeta } from '../../kubernetes/objects.ts';

/** The set that controls the object. */
export function controllingSet({ ownerReferences = [] }: Pick<StoredMeta, 'ownerReferences'>) {
  const controller = ownerReferences.find((reference) => reference.controller === true);
  const isSet = controller?.kind === 'LinuxUtilityVMSet' && controller.apiVersion.startsWith('lcow.dev/');
  return isSet ? controller : undefined;
}

/** Keys of the sets that the object belongs to, or claims to belong to. */
export function setKeysOf(metadata: StoredMeta): ReadonlySet<string> {
  const names = [metadata.labels?.[setLabel], controllingSet(metadata)?.name];
  return new Set(names.flatMap((name) => (name === undefined ? [] : [`${metadata.namespace ?? ''}/${name}`])));
}

export class SetMembers {
  readonly #members = new Map<string, Set<string>>();

  of(setKey: string): ReadonlySet<string> {
    return this.#members.get(setKey) ?? new Set();
  }

  add(key: string, metadata: StoredMeta): void {
    for (const setKey of setKeysOf(metadata)) {
      const members = this.#members.get(setKey) ?? new Set();
      this.#members.set(setKey, members.add(key));
    }
  }

  remove(key: string, metadata: StoredMeta): void {
    for (const setKey of setKeysOf(metadata)) {
      const members = this.#members.get(setKey);
      members?.delete(key);
      if (members?.size === 0) this.#members.delete(setKey);
    }
  }
}
