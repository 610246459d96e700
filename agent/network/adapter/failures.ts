// What a failed effect means to an adapter: the reason that NetworkReady shows, and when the effect is repeated. The
// adapter stays in its state. Only three reasons lead elsewhere: a lost endpoint is made again (`EndpointLost`), one
// that is attached elsewhere is replaced when the VM has ended (`EndpointInUse`), and one that HNS gave another id is
// deleted at once (`HNSUnsupported`).
import { messageOf } from '../../../runtime/error-text.ts';
import { CallOverdue } from '../../bounds/bounded.ts';
import { HcsError } from '../../node/hcs-error.ts';
import { HnsError, type HnsReason } from '../../node/hns-error.ts';
import type { EndpointId } from '../../node/network-service.ts';
import type { Adapter } from './adapter.ts';

type AdapterReason =
  | 'NetworkNotFound'
  | 'AddressInUse'
  | 'AddressOutsideSubnet'
  | 'PolicyRejected'
  | 'HostPortTaken'
  | 'EndpointInUse'
  | 'EndpointLost'
  | 'HNSUnavailable'
  | 'HNSUnsupported'
  | 'GuestNetworkNotConfigured';

/** `afterChange`: of what is wanted, or of the agent. Each consecutive failure makes the pause longer. */
type Repetition = 'afterPause' | 'afterRun' | 'afterChange';

interface Meaning {
  readonly reason: AdapterReason;
  readonly repeated: Repetition;
}

export interface AdapterFailure extends Meaning {
  readonly message: string;
}

const failureMeanings = {
  NetworkNotFound: { reason: 'NetworkNotFound', repeated: 'afterPause' },
  AddressInUse: { reason: 'AddressInUse', repeated: 'afterPause' },
  AddressOutsideSubnet: { reason: 'AddressOutsideSubnet', repeated: 'afterChange' },
  PolicyRejected: { reason: 'PolicyRejected', repeated: 'afterChange' },
  HostPortTaken: { reason: 'HostPortTaken', repeated: 'afterPause' },
  EndpointInUse: { reason: 'EndpointInUse', repeated: 'afterRun' },
  EndpointGone: { reason: 'EndpointLost', repeated: 'afterPause' },
  HNSUnavailable: { reason: 'HNSUnavailable', repeated: 'afterPause' },
  HNSUnsupported: { reason: 'HNSUnsupported', repeated: 'afterChange' },
  HNSFailed: { reason: 'HNSUnavailable', repeated: 'afterPause' },
} as const satisfies Readonly<Record<HnsReason, Meaning>>;

/** HNS made an endpoint with another id than it was given (`stray`), or has somebody else's with ours. */
export class EndpointNotOurs extends Error {
  override readonly name = 'EndpointNotOurs';
  readonly stray: EndpointId | undefined;

  constructor(message: string, stray?: EndpointId) {
    super(message);
    this.stray = stray;
  }
}

export function failureOf({ name, state }: Adapter, error: unknown): AdapterFailure {
  const message = `network ${name}: ${messageOf(error)}`;
  if (error instanceof EndpointNotOurs) return { ...failureMeanings.HNSUnsupported, message };
  const hns = hnsErrorIn(error);
  if (hns !== undefined) return { ...meaningIn(state, hns.reason), message };
  const isOfMachine = state === 'attaching' || state === 'attached' || state === 'detaching';
  return { reason: isOfMachine ? 'GuestNetworkNotConfigured' : 'HNSUnavailable', repeated: 'afterPause', message };
}

/**
 * Only an adapter that is being attached waits for the end of its VM. Where the endpoint may be absent, its absence is a
 * failure only as long as HNS may not have loaded it yet.
 */
function meaningIn(state: Adapter['state'], reason: HnsReason): Meaning {
  const isDoubt = reason === 'EndpointGone' && (state === 'creating' || state === 'deleting');
  const meaning = failureMeanings[isDoubt ? 'HNSUnavailable' : reason];
  const isFinal = meaning.repeated === 'afterRun' && state !== 'attaching';
  return isFinal ? { ...meaning, repeated: 'afterPause' } : meaning;
}

/** HCS passes on the codes of HNS when it adds an adapter. Undefined for an error of something else. */
export function hnsErrorIn(error: unknown): HnsError | undefined {
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    if (each instanceof HnsError) return each;
    if (each instanceof HcsError && each.hresult >>> 16 === 0x803b) {
      return new HnsError('HcsModifyComputeSystem', each.hresult);
    }
  }
  return undefined;
}

/** The call that an error leaves under way: until it has returned, it can still have its effect. */
export function overdueIn(error: unknown): Promise<unknown> | undefined {
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    if (each instanceof CallOverdue) return each.late;
  }
  return undefined;
}
