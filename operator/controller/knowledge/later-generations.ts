// Notices agents that know a later generation of a VM than the API server: they have outlived a restore of the cluster.
import type { ObservedVirtualMachine } from '../../../protocol/messages.ts';
import type { VirtualMachine } from '../../kubernetes/objects.ts';
import type { ResourceClient } from '../../kubernetes/resource-client.ts';
import type { Restoration } from './restoration.ts';

export class LaterGenerations {
  readonly #client: Pick<ResourceClient<VirtualMachine>, 'get'>;
  readonly #restoration: Pick<Restoration, 'suspect'>;
  /** By uid: the latest generation that was checked. */
  readonly #known = new Map<string, number>();

  constructor(client: Pick<ResourceClient<VirtualMachine>, 'get'>, restoration: Pick<Restoration, 'suspect'>) {
    this.#client = client;
    this.#restoration = restoration;
  }

  async look(
    { metadata }: VirtualMachine,
    nodeName: string,
    observed: ObservedVirtualMachine | undefined,
  ): Promise<void> {
    const { uid, generation } = metadata;
    const reported = observed?.generation ?? 0;
    if (reported <= generation || reported <= (this.#known.get(uid) ?? 0)) return;
    this.#known.set(uid, reported);
    const live = await this.#client.get(metadata); // the cache may be behind
    if (!live.ok || live.value.metadata.uid !== uid || live.value.metadata.generation >= reported) return;
    this.#restoration.suspect(
      `the agent of ${nodeName} knows generation ${reported} of a VM whose stored generation is ${generation}`,
    );
  }

  forget(uid: string): void {
    this.#known.delete(uid);
  }
}
