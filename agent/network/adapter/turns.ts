// What begins without an effect, as pure functions of the journal's adapter: because something else is wanted, the VM
// has ended, the endpoint is lost, or the agent is a new one. The executor writes the result before it acts on it.
import { sameJson } from '../../../runtime/same-json.ts';
import { type EndpointWish, endpointPolicies } from '../endpoint-document.ts';
import type { EndpointPolicy } from '../policy.ts';
import { type Adapter, adapterIdOf, common, type Turn, turned } from './adapter.ts';

/** In the running VM; only its endpoint; or nothing of it. */
export type AdapterGoal = 'attached' | 'kept' | 'released';

export interface WantedAdapter {
  readonly goal: AdapterGoal;
  /** The endpoint of another network is another one: then the adapter is released first. */
  readonly wish: EndpointWish;
}

/** Undefined if the state has its own effect next, or rests where it is wanted. */
export function wantedTurn(adapter: Adapter, wanted: WantedAdapter): Turn | undefined {
  const goal = wanted.wish.network === adapter.networkId ? wanted.goal : 'released';
  const policies = endpointPolicies(wanted.wish);
  switch (adapter.state) {
    case 'creating':
      return creatingTurn(adapter, goal, policies);
    case 'created':
      return createdTurn(adapter, goal, policies);
    case 'attaching':
      return goal === 'attached' ? undefined : turned(adapter.state, 'detach', detaching(adapter, false));
    case 'attached':
    case 'configured':
      return insertedTurn(adapter, goal, policies);
    case 'changing':
      return changingTurn(adapter, goal, policies);
    default:
      return undefined;
  }
}

function creatingTurn(adapter: Adapter<'creating'>, goal: AdapterGoal, wished: readonly EndpointPolicy[]) {
  const { policies, ...rest } = adapter;
  if (goal === 'released') return turned(adapter.state, 'release', { ...deleting(adapter), stray: adapter.stray });
  const isOutdated = policies !== undefined && !sameJson(policies, wished);
  return isOutdated ? turned(adapter.state, 'change', rest) : undefined;
}

function createdTurn(adapter: Adapter<'created'>, goal: AdapterGoal, wished: readonly EndpointPolicy[]) {
  const { place, policies, state } = adapter;
  if (goal === 'released') return turned(state, 'release', deleting(adapter));
  if (!sameJson(policies, wished)) {
    return turned(state, 'change', { ...common(adapter), state: 'changing', place, wanted: wished });
  }
  if (goal === 'kept') return undefined;
  const adapterId = adapterIdOf(adapter);
  return turned(state, 'attach', { ...common(adapter), state: 'attaching', place, adapterId });
}

function insertedTurn(
  adapter: Adapter<'attached' | 'configured'>,
  goal: AdapterGoal,
  wished: readonly EndpointPolicy[],
) {
  const { adapterId, place, policies, state } = adapter;
  if (goal !== 'attached') return turned(state, 'detach', detaching(adapter, false));
  if (sameJson(policies, wished)) return undefined;
  return turned(state, 'change', { ...common(adapter), state: 'changing', place, wanted: wished, adapterId });
}

function changingTurn(adapter: Adapter<'changing'>, goal: AdapterGoal, wished: readonly EndpointPolicy[]) {
  const { adapterId, state, wanted } = adapter;
  if (adapterId !== undefined && goal !== 'attached') {
    return turned(state, 'detach', detaching({ ...withoutPolicies(adapter), adapterId }, false));
  }
  if (goal === 'released') return turned(state, 'release', deleting(adapter));
  return sameJson(wanted, wished) ? undefined : turned(state, 'change', { ...adapter, wanted: wished });
}

/** The VM has ended, which is confirmed. Undefined if the adapter was not in it. */
export function turnAfterRun(adapter: Adapter): Turn | undefined {
  switch (adapter.state) {
    case 'attaching':
      return adapter.inUse === true
        ? turned(adapter.state, 'replace', { ...creating(adapter), replaces: true })
        : turned(adapter.state, 'runEnded', created(adapter));
    case 'attached':
    case 'configured':
      return turned(adapter.state, 'runEnded', created(adapter));
    case 'detaching':
      return adapter.isLost
        ? turned(adapter.state, 'remake', creating(adapter))
        : turned(adapter.state, 'runEnded', created(adapter));
    case 'changing': {
      const { adapterId, ...rest } = adapter;
      return adapterId === undefined ? undefined : turned(adapter.state, 'runEnded', rest);
    }
    default:
      return undefined;
  }
}

/** A new agent has found the adapter in its journal, and the VM runs. */
export function turnAtAdoption(adapter: Adapter): Turn | undefined {
  if (adapter.state !== 'configured') return undefined;
  const { adapterId, place } = adapter;
  return turned(adapter.state, 'adopted', { ...common(adapter), state: 'attached', adapterId, place });
}

/** HNS does not have the endpoint any more, but its network. Undefined where the state itself finds that out. */
export function turnAfterLoss(adapter: Adapter): Turn | undefined {
  switch (adapter.state) {
    case 'created':
      return turned(adapter.state, 'lost', creating(adapter));
    case 'attaching':
    case 'attached':
    case 'configured':
      return turned(adapter.state, 'lost', detaching(adapter, true));
    case 'changing': {
      const { adapterId } = adapter;
      if (adapterId === undefined) return turned(adapter.state, 'lost', creating(adapter));
      return turned(adapter.state, 'lostInVm', detaching({ ...withoutPolicies(adapter), adapterId }, true));
    }
    default:
      return undefined;
  }
}

type WithPlace = Adapter<'created' | 'attaching' | 'attached' | 'configured' | 'detaching' | 'changing'>;

/** A creation takes the policies that are wanted then. */
export function creating(adapter: WithPlace): Adapter<'creating'> {
  return { ...common(withoutPolicies(adapter)), state: 'creating', place: adapter.place };
}

export function created(adapter: WithPlace): Adapter<'created'> {
  return { ...common(adapter), state: 'created', place: adapter.place };
}

function detaching(adapter: WithPlace & { readonly adapterId: string }, isLost: boolean): Adapter<'detaching'> {
  const { adapterId, place } = adapter;
  return { ...common(adapter), state: 'detaching', place, adapterId, isLost };
}

function deleting(adapter: Adapter): Adapter<'deleting'> {
  return { ...common(adapter), state: 'deleting' };
}

/** The endpoint may have the old ones or the new ones. */
function withoutPolicies<Each extends Adapter>(adapter: Each): Each {
  return { ...adapter, policies: undefined };
}
