// A network adapter as the journal has it: its state, and the data that only this state has. All of it is JSON.
import type { EndpointId, NetworkId } from '../../node/network-service.ts';
import type { NetworkEndpoint } from '../endpoint.ts';
import { type EndpointWish, endpointPolicies, identityOf } from '../endpoint-document.ts';
import type { EndpointPolicy } from '../policy.ts';
import { uuidOfName } from '../uuid.ts';
import type { AdapterState, EventOf, TargetOf } from './states.ts';

interface Common {
  /** Of the VM's resource. */
  readonly uid: string;
  /** Unique in its VM. */
  readonly name: string;
  readonly endpointId: EndpointId;
  readonly networkId: NetworkId;
  /** That the endpoint has, or is made with; absent if it may have others. */
  readonly policies?: readonly EndpointPolicy[] | undefined;
}

/** An endpoint that HNS made for this adapter with another id than it was given. It is deleted before anything else. */
interface WithStray {
  readonly stray?: EndpointId | undefined;
}

/** What HNS has given the endpoint, or was told to give it. It stays the same when a lost endpoint is made again. */
export interface Place {
  /** Six octets in hexadecimal, with `-`. */
  readonly macAddress: string;
  readonly addresses: NetworkEndpoint['addresses'];
}

interface Placed {
  readonly place: Place;
}

interface Inserted extends Placed {
  /** The GUID of the adapter in HCS and in the guest. */
  readonly adapterId: string;
}

interface Data {
  readonly creating: WithStray & {
    /** Of the endpoint that is made again. */
    readonly place?: Place | undefined;
    /** An endpoint that is there is deleted first. */
    readonly replaces?: true | undefined;
  };
  readonly created: Placed;
  /** `inUse`: HNS has the endpoint attached elsewhere. */
  readonly attaching: Inserted & { readonly inUse?: true | undefined };
  readonly attached: Inserted;
  readonly configured: Inserted & {
    /** Its name in the guest. */
    readonly interface: string;
  };
  readonly detaching: Inserted & { readonly isLost: boolean };
  readonly changing: Placed & {
    readonly wanted: readonly EndpointPolicy[];
    /** Absent while no VM has the adapter. */
    readonly adapterId?: string | undefined;
  };
  readonly deleting: WithStray;
  readonly gone: object;
}

/** The adapter in any state, or in one of the given states. */
export type Adapter<State extends AdapterState = AdapterState> = {
  readonly [Each in State]: Common & { readonly state: Each } & Data[Each];
}[State];

/** The adapter after an event. */
export interface Turn {
  readonly event: string;
  readonly next: Adapter;
}

/** The types allow only what the table of states has. */
export function turned<From extends AdapterState, Event extends EventOf<From> & string>(
  _from: From,
  event: Event,
  next: Adapter & { readonly state: TargetOf<From, Event> },
): Turn {
  return { event, next };
}

/** Write it to the journal before the first step. */
export function newAdapter(wish: EndpointWish): Adapter<'creating'> {
  const { name, network, uid } = wish;
  const { id } = identityOf(wish);
  return { state: 'creating', uid, name, endpointId: id, networkId: network, policies: endpointPolicies(wish) };
}

export function common({ endpointId, name, networkId, policies, uid }: Adapter): Common {
  return { uid, name, endpointId, networkId, ...(policies !== undefined && { policies }) };
}

/** The same in each run, so that an agent without a journal names the same adapter. */
export function adapterIdOf({ endpointId }: Adapter): string {
  return uuidOfName(endpointId, 'adapter');
}

/** The guest keeps adapters by namespaces. All adapters of a VM are in one. */
export function namespaceIdOf({ uid }: Adapter): string {
  return uuidOfName(uid, 'namespace');
}
