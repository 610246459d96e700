// Keeps knowing the networks of the host, for its status: lists them every 30 s, and earlier after a failure. Nothing
// waits for it, so a Host Networking Service that is absent or hangs holds up nothing else. A call that exceeded its
// bound is waited for before HNS is asked again.
import type { Logger } from 'pino';
import { boundedNetworkFacts, type NetworkFacts, networkLimits } from '../../protocol/network-facts.ts';
import { beginning } from '../../runtime/beginning.ts';
import { type Clock, delay } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { bounded, CallOverdue, unlessAborted } from '../bounds/bounded.ts';
import { fixedTimes, type Timeouts } from '../bounds/timeouts.ts';
import { HnsError, type HnsReason } from '../node/hns-error.ts';
import type { HostNetworks } from './host-networks.ts';
import type { HostNetwork } from './network.ts';

export interface NetworkWatchPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly networks: Pick<HostNetworks, 'version' | 'networks' | 'network'>;
  readonly timeouts: Pick<Timeouts, 'hns'>;
  /** Counts failed calls. */
  readonly tally: { hnsFailed(reason: HnsReason): void };
  /** The facts are others than before. */
  readonly changed: () => void;
}

const { look, lookAfterFailure } = fixedTimes.network;
/** Networks that one look reads. The status of a host shows fewer. */
const mostRead = 256;
/** So many looks in a row must find no network before those that were known count as gone. */
const emptyLooksThatCount = 3;

export class NetworkWatch {
  readonly #ports: NetworkWatchPorts;
  #facts: NetworkFacts | undefined;
  /** What was logged last about a failure; undefined after a look that succeeded. */
  #problem: string | undefined;
  #leftOut = 0;
  #emptyLooks = 0;

  constructor(ports: NetworkWatchPorts) {
    this.#ports = ports;
  }

  /** What the last look that succeeded has found; undefined before the first one. */
  get facts(): NetworkFacts | undefined {
    return this.#facts;
  }

  /** Returns when the signal aborts, or when this Windows turns out to have no HNS. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const pause = await this.#look(signal);
      if (pause === undefined) return;
      await delay(this.#ports.clock, pause, signal).catch(() => undefined);
    }
  }

  /** Returns the pause until the next look; undefined if none can succeed. */
  async #look(signal: AbortSignal): Promise<number | undefined> {
    try {
      this.#tell(await this.#read(signal));
      return look;
    } catch (error) {
      if (signal.aborted) return undefined;
      const reason = error instanceof HnsError ? error.reason : 'HNSUnavailable';
      this.#ports.tally.hnsFailed(reason);
      this.#complain(error);
      if (reason === 'HNSUnsupported') return undefined;
      if (error instanceof CallOverdue)
        await unlessAborted(
          error.late.catch(() => undefined),
          signal,
        );
      return lookAfterFailure;
    }
  }

  async #read(signal: AbortSignal): Promise<NetworkFacts> {
    const { networks } = this.#ports;
    const version = await this.#call('HNSCall', () => networks.version()).catch(ifUnsupported);
    const ids = await this.#call('HcnEnumerateNetworks', () => networks.networks());
    const found: HostNetwork[] = [];
    for (const id of ids.slice(0, mostRead)) {
      signal.throwIfAborted();
      const network = await this.#call('HcnQueryNetworkProperties', () => networks.network(id)).catch(ifGone);
      if (network !== undefined) found.push(network);
    }
    return this.#bounded(version && `${version.major}.${version.minor}`, found, Math.max(0, ids.length - mostRead));
  }

  #call<T>(name: string, run: () => Promise<T>): Promise<T> {
    const { clock, timeouts } = this.#ports;
    return bounded(clock, timeouts.hns, name, run);
  }

  /** In an order of their own, because HNS lists them in any. */
  #bounded(hnsVersion: string | undefined, found: readonly HostNetwork[], unread: number): NetworkFacts {
    const sorted = found.map(factsOf).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const facts = boundedNetworkFacts({ ...(hnsVersion !== undefined && { hnsVersion }), networks: sorted });
    const leftOut = unread + found.length - facts.networks.length;
    if (leftOut > 0 && leftOut !== this.#leftOut) {
      this.#ports.logger.warn({ leftOut }, 'the host has more networks than its status can show');
    }
    this.#leftOut = leftOut;
    return facts;
  }

  #tell(facts: NetworkFacts): void {
    if (this.#problem !== undefined) this.#ports.logger.info('the networks of the host can be read again');
    this.#problem = undefined;
    if (this.#isDoubtful(facts)) return;
    const isNews = JSON.stringify(facts) !== JSON.stringify(this.#facts);
    this.#facts = facts;
    if (isNews) this.#ports.changed();
  }

  /** HNS answers before it has loaded its networks. */
  #isDoubtful({ networks }: NetworkFacts): boolean {
    this.#emptyLooks = networks.length === 0 ? this.#emptyLooks + 1 : 0;
    const hadNetworks = (this.#facts?.networks.length ?? 0) > 0;
    return hadNetworks && networks.length === 0 && this.#emptyLooks < emptyLooksThatCount;
  }

  /** Once for each kind of failure that goes on. */
  #complain(error: unknown): void {
    const problem = messageOf(error);
    if (problem !== this.#problem) {
      this.#ports.logger.warn({ error: problem }, 'the networks of the host cannot be read');
    }
    this.#problem = problem;
  }
}

/** An HNS that does not tell its version may still list its networks. */
function ifUnsupported(error: unknown): undefined {
  if (error instanceof HnsError && error.reason === 'HNSUnsupported') return undefined;
  throw error;
}

/** A network may be removed between the list and the look at it. */
function ifGone(error: unknown): undefined {
  if (error instanceof HnsError && error.reason === 'NetworkNotFound' && !error.isDoubtful) return undefined;
  throw error;
}

type NetworkFact = NetworkFacts['networks'][number];

function factsOf({ id, name, subnets, type }: HostNetwork): NetworkFact {
  const { nameChars, subnetChars, typeChars } = networkLimits;
  return {
    name: beginning(name, nameChars),
    id,
    type: beginning(type, typeChars),
    subnets: subnets.slice(0, networkLimits.subnets).map((subnet) => beginning(subnet, subnetChars)),
  };
}

function keyOf({ id, name }: NetworkFact): string {
  return `${name} ${id}`;
}
