// Writes the VMs of a set. Every answer enters the cache at once, so that the next plan counts what this one did.
import type { Clock } from '../../../runtime/clock.ts';
import { type ApiError, isConflict, isNotFound, type Outcome } from '../../kubernetes/api-error.ts';
import { type MachineSet, objectKey, type VirtualMachine } from '../../kubernetes/objects.ts';
import type { ResourceClient } from '../../kubernetes/resource-client.ts';
import type { VirtualMachines } from '../knowledge/virtual-machines.ts';
import { type ManifestParts, machineManifest } from './machine-manifest.ts';
import { claimOf } from './ownership.ts';
import { ownerOf } from './revision-store.ts';

const fieldManager = 'lcow-operator-set';

export interface MemberWritesOptions {
  readonly clients: {
    readonly machines: ResourceClient<VirtualMachine>;
    readonly sets: Pick<ResourceClient<MachineSet>, 'get'>;
  };
  readonly machines: VirtualMachines;
  readonly wakeMachine: (key: string) => void;
  readonly clock: Clock;
}

/** `Outdated`: somebody else wrote first; the cache has the present object now. */
export type MemberWrite =
  | { readonly kind: 'Written' }
  | { readonly kind: 'Outdated' }
  | { readonly kind: 'Failed'; readonly error: ApiError };

const written: MemberWrite = { kind: 'Written' };
const rememberedDeletions = 10_000;

export class MemberWrites {
  readonly #options: MemberWritesOptions;
  /** Uids of VMs whose deletion succeeded, which the cache may not show yet. */
  readonly #deleted = new Set<string>();

  constructor(options: MemberWritesOptions) {
    this.#options = options;
  }

  isDeleted(uid: string): boolean {
    return this.#deleted.has(uid);
  }

  /** A live read has shown that the VM is gone. */
  bury(uid: string): void {
    this.#deleted.add(uid);
    for (const oldest of this.#deleted) {
      if (this.#deleted.size <= rememberedDeletions) return;
      this.#deleted.delete(oldest);
    }
  }

  /** Makes or changes a VM. */
  async apply(parts: Omit<ManifestParts, 'restartedAt'>, restart: boolean): Promise<MemberWrite> {
    const { clients, clock } = this.#options;
    const restartedAt = restart ? new Date(clock.now()).toISOString() : undefined;
    const manifest = machineManifest({ ...parts, restartedAt });
    return this.#settle(manifest.metadata, await clients.machines.apply(manifest.metadata, fieldManager, manifest));
  }

  async delete(object: VirtualMachine): Promise<MemberWrite> {
    const { clients } = this.#options;
    const outcome = await clients.machines.delete(object);
    if (!outcome.ok && !isNotFound(outcome.error)) return this.#settle(object.metadata, outcome);
    this.bury(object.metadata.uid);
    const left = outcome.ok ? outcome.value : undefined;
    if (left?.metadata.uid === object.metadata.uid) this.#remember(left);
    return written;
  }

  /** After live reads: the set must still exist, and the VM must still be free. */
  async adopt(set: MachineSet, object: VirtualMachine): Promise<MemberWrite> {
    const { clients } = this.#options;
    const [liveSet, live] = await Promise.all([clients.sets.get(set.metadata), clients.machines.get(object.metadata)]);
    if (!liveSet.ok) return { kind: 'Failed', error: liveSet.error };
    if (!live.ok) return this.#settle(object.metadata, live);
    const isSetAlive =
      liveSet.value.metadata.uid === set.metadata.uid && liveSet.value.metadata.deletionTimestamp === undefined;
    const isSame = live.value.metadata.uid === object.metadata.uid;
    if (!isSetAlive || !isSame || claimOf(set, live.value) !== 'Free') return { kind: 'Outdated' };
    const ownerReferences = [...(live.value.metadata.ownerReferences ?? []), ownerOf(set)];
    const patched = await clients.machines.mergePatch(live.value, { metadata: { ownerReferences } });
    return this.#settle(object.metadata, patched);
  }

  async release(set: MachineSet, object: VirtualMachine): Promise<MemberWrite> {
    const others = (object.metadata.ownerReferences ?? []).filter(({ uid }) => uid !== set.metadata.uid);
    const patched = await this.#options.clients.machines.mergePatch(object, { metadata: { ownerReferences: others } });
    return this.#settle(object.metadata, patched);
  }

  async #settle(
    named: { readonly name: string; readonly namespace?: string | undefined },
    outcome: Outcome<VirtualMachine>,
  ): Promise<MemberWrite> {
    if (outcome.ok) {
      this.#remember(outcome.value);
      return written;
    }
    if (isNotFound(outcome.error)) return { kind: 'Outdated' };
    if (!isConflict(outcome.error)) return { kind: 'Failed', error: outcome.error };
    const live = await this.#options.clients.machines.get(named);
    if (live.ok) this.#remember(live.value);
    else if (!isNotFound(live.error)) return { kind: 'Failed', error: live.error };
    return { kind: 'Outdated' };
  }

  #remember(object: VirtualMachine): void {
    const { machines, wakeMachine } = this.#options;
    machines.remember(object);
    wakeMachine(objectKey(object.metadata));
  }
}
