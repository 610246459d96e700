// Whether one leader has led all the time, and how old its Lease became.
import type { FleetCluster, Lease } from './cluster.ts';

const lookMilliseconds = 250;

export class LeaseWatch implements Disposable {
  /** The longest time since the last renewal, in seconds. It is renewed every 2 s. */
  oldestSeconds = 0;
  readonly #cluster: FleetCluster;
  readonly #first: Lease;
  readonly #timer: NodeJS.Timeout;

  private constructor(cluster: FleetCluster, first: Lease) {
    this.#cluster = cluster;
    this.#first = first;
    // A look that fails is followed by another one.
    this.#timer = setInterval(() => void this.#look().catch(() => undefined), lookMilliseconds);
  }

  static async start(cluster: FleetCluster): Promise<LeaseWatch> {
    return new LeaseWatch(cluster, await cluster.lease());
  }

  /** How often the leader has changed since the start. */
  async changes(): Promise<number> {
    const { holderIdentity, leaseTransitions } = await this.#look();
    const changes = leaseTransitions - this.#first.leaseTransitions;
    return holderIdentity === this.#first.holderIdentity ? changes : Math.max(1, changes);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<Lease> {
    const lease = await this.#cluster.lease();
    this.oldestSeconds = Math.max(this.oldestSeconds, (Date.now() - Date.parse(lease.renewTime)) / 1000);
    return lease;
  }
}
