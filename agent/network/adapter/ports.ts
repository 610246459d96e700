// What the executor of adapters needs from others. Calls may exceed their bounds: then they reject with a `CallOverdue`.
import type { Clock } from '../../../runtime/clock.ts';
import type { NetworkEndpoint } from '../endpoint.ts';
import type { HostNetworks } from '../host-networks.ts';
import type { Adapter } from './adapter.ts';

export interface AdapterPorts {
  readonly networks: HostNetworks;
  readonly journal: AdapterJournal;
  readonly clock: Clock;
}

export interface AdapterJournal {
  /** Resolves when the adapter is durable. An adapter that is `gone` loses its entry. */
  write(adapter: Adapter): Promise<void>;
}

/** One run of a VM: its compute system and its guest. Every call rejects when the run has ended. */
export interface AdapterRun {
  /** HCS first, then the guest. */
  add(adapterId: string, endpoint: NetworkEndpoint): Promise<void>;
  /** The guest first, then HCS. Nothing there is success. The endpoint has no addresses. */
  remove(adapterId: string, endpoint: NetworkEndpoint): Promise<void>;
  /** Can be repeated. Resolves with the name of the interface. */
  configure(adapterId: string, endpoint: NetworkEndpoint): Promise<string>;
}
