// Whether HNS really does not have an endpoint. HNS also answers "not found" before it has loaded what it knows
// (docs/reference/hns.md). Such an answer counts if HNS lists the network of the endpoint, or if it is given twice, a
// minute apart.
import type { Clock } from '../../../runtime/clock.ts';
import { fixedTimes } from '../../bounds/timeouts.ts';
import { HnsError, hnsResult } from '../../node/hns-error.ts';
import type { EndpointId } from '../../node/network-service.ts';
import type { HostNetworks } from '../host-networks.ts';
import type { Adapter } from './adapter.ts';

export class Absence {
  readonly #networks: HostNetworks;
  readonly #clock: Clock;
  /** When an answer was first doubted. An endpoint that was found, or is surely gone, has no entry. */
  readonly #doubted = new Map<EndpointId, number>();

  constructor(networks: HostNetworks, clock: Clock) {
    this.#networks = networks;
    this.#clock = clock;
  }

  found({ endpointId }: Adapter): void {
    this.#doubted.delete(endpointId);
  }

  /** Resolves if the endpoint is gone, whether or not its network is there. Otherwise rejects with the error. */
  async confirm(adapter: Adapter, error: unknown): Promise<void> {
    if (!saysGone(error)) throw error;
    if (error.isDoubtful && !(await this.#isListed(adapter)) && !this.#isDoubtedLong(adapter)) throw error;
    this.found(adapter);
  }

  /** As `confirm`, for an endpoint that is to be made again: its network has to be there. */
  async confirmLoss(adapter: Adapter, error: unknown): Promise<void> {
    if (!saysGone(error)) throw error;
    if (await this.#isListed(adapter)) return this.found(adapter);
    throw new HnsError('HcnEnumerateNetworks', hnsResult.networkNotFound, adapter.networkId);
  }

  async #isListed({ networkId }: Adapter): Promise<boolean> {
    return (await this.#networks.networks()).includes(networkId);
  }

  #isDoubtedLong({ endpointId }: Adapter): boolean {
    const now = this.#clock.now();
    const since = this.#doubted.get(endpointId) ?? now;
    this.#doubted.set(endpointId, since);
    return now - since >= fixedTimes.network.absence;
  }
}

function saysGone(error: unknown): error is HnsError {
  return error instanceof HnsError && error.reason === 'EndpointGone';
}
