// Carries adapters from state to state (`states.ts`), one step at a time. A step either begins something, or has the
// effect of the state and its result. It ends with the write of the journal, so every effect is of a state that is
// durable.
//
//   let adapter: Adapter = newAdapter(wish);
//   await journal.write(adapter);
//   const outcome = await executor.step(adapter, { goal: 'attached', wish, run });
//
// Every effect can be repeated. An endpoint is deleted by its recorded id, and only if its name proves that it is ours.
import { type NetworkEndpoint, type ToldEndpoint, withOverhead } from '../endpoint.ts';
import { endpointDocument, endpointPolicies, ownerOf, policyChange } from '../endpoint-document.ts';
import { endpointId } from '../network.ts';
import { Absence } from './absence.ts';
import { type Adapter, common, namespaceIdOf, type Place, type Turn, turned } from './adapter.ts';
import { type AdapterFailure, EndpointNotOurs, failureOf, hnsErrorIn, overdueIn } from './failures.ts';
import type { AdapterPorts, AdapterRun } from './ports.ts';
import {
  created,
  creating,
  turnAfterLoss,
  turnAfterRun,
  turnAtAdoption,
  type WantedAdapter,
  wantedTurn,
} from './turns.ts';

export interface StepWish extends WantedAdapter {
  /** Absent while the guest of the VM is not up. A VM that has ended is told with `runEnded`. */
  readonly run?: AdapterRun | undefined;
}

export type StepOutcome =
  | ({ readonly kind: 'turned' } & Turn)
  /** Nothing to do: the adapter is where it is wanted, or waits for a run, its end, or a late call. */
  | { readonly kind: 'rests' }
  /** A lost endpoint, or one that is in use, has turned to another state nevertheless. */
  | { readonly kind: 'failed'; readonly failure: AdapterFailure; readonly next: Adapter };

type Effect = () => Promise<Turn>;

export class AdapterExecutor {
  readonly #ports: AdapterPorts;
  readonly #absence: Absence;
  /** Endpoints whose adapter is certainly not in the VM: `attaching` began in this agent and was not tried yet. */
  readonly #untried = new Set<string>();
  /** Endpoints with a call that exceeded its bound and is still running. */
  readonly #overdue = new Set<string>();

  constructor(ports: AdapterPorts) {
    this.#ports = ports;
    this.#absence = new Absence(ports.networks, ports.clock);
  }

  /** Rejects only when the journal cannot be written. Then the same step is taken again. */
  async step(adapter: Adapter, wanted: StepWish): Promise<StepOutcome> {
    if (this.#overdue.has(adapter.endpointId)) return { kind: 'rests' };
    const begun = this.#begin(adapter, wanted);
    if (begun !== undefined) return await this.#written(begun);
    const effect = this.#effectOf(adapter, wanted);
    if (effect === undefined) return { kind: 'rests' };
    return await this.#resultOf(adapter, effect);
  }

  /** Compares a resting adapter with HNS. A lost endpoint turns; what else fails is only told. */
  async compare(adapter: Adapter): Promise<StepOutcome> {
    if (this.#overdue.has(adapter.endpointId) || turnAfterLoss(adapter) === undefined) return { kind: 'rests' };
    try {
      await this.#read(adapter);
      return { kind: 'rests' };
    } catch (error) {
      return await this.#failed(adapter, error);
    }
  }

  /** The end of the VM is confirmed. */
  async runEnded(adapter: Adapter): Promise<Adapter> {
    this.#untried.delete(adapter.endpointId);
    return await this.#after(adapter, turnAfterRun(adapter));
  }

  /** A new agent has found the adapter in its journal, and has taken over the running VM. */
  async adopted(adapter: Adapter): Promise<Adapter> {
    return await this.#after(adapter, turnAtAdoption(adapter));
  }

  async #after(adapter: Adapter, turn: Turn | undefined): Promise<Adapter> {
    if (turn === undefined) return adapter;
    await this.#ports.journal.write(turn.next);
    return turn.next;
  }

  #begin(adapter: Adapter, wanted: StepWish): Turn | undefined {
    // Without a run, nothing is put in; what is in a VM waits for its guest or its end.
    const isKept = wanted.run === undefined && adapter.state === 'created' && wanted.goal === 'attached';
    return wantedTurn(adapter, isKept ? { ...wanted, goal: 'kept' } : wanted);
  }

  async #written(turn: Turn): Promise<StepOutcome> {
    await this.#ports.journal.write(turn.next);
    if (turn.event === 'attach') this.#untried.add(turn.next.endpointId);
    return { kind: 'turned', ...turn };
  }

  async #resultOf(adapter: Adapter, effect: Effect): Promise<StepOutcome> {
    const turn = await effect().catch((error: unknown) => ({ error }));
    return 'error' in turn ? await this.#failed(adapter, turn.error) : await this.#written(turn);
  }

  async #failed(adapter: Adapter, error: unknown): Promise<StepOutcome> {
    const { cause, turn } = await this.#consequenceOf(adapter, error);
    this.#await(adapter, overdueIn(cause));
    if (turn !== undefined) await this.#ports.journal.write(turn.next);
    return { kind: 'failed', failure: failureOf(adapter, cause), next: turn?.next ?? adapter };
  }

  #await({ endpointId }: Adapter, late: Promise<unknown> | undefined): void {
    if (late === undefined) return;
    this.#overdue.add(endpointId);
    const settled = () => this.#overdue.delete(endpointId);
    void late.then(settled, settled);
  }

  /** Where the error leads, and what is to be told of it. */
  async #consequenceOf(adapter: Adapter, error: unknown): Promise<{ cause: unknown; turn?: Turn | undefined }> {
    const hns = hnsErrorIn(error);
    if (adapter.state === 'attaching' && hns?.reason === 'EndpointInUse') {
      return { cause: error, turn: turned(adapter.state, 'inUse', { ...adapter, inUse: true }) };
    }
    if (adapter.state === 'creating' && error instanceof EndpointNotOurs && error.stray !== undefined) {
      return await this.#withoutStray({ ...adapter, stray: error.stray }, error);
    }
    const lost = hns?.reason === 'EndpointGone' ? turnAfterLoss(adapter) : undefined;
    if (lost === undefined) return { cause: error };
    return await this.#absence.confirmLoss(adapter, hns).then(
      () => ({ cause: error, turn: lost }),
      (doubt: unknown) => ({ cause: doubt }),
    );
  }

  /** Durable before it is deleted, so that it is deleted later if HNS fails now. A journal that fails is no hindrance. */
  async #withoutStray(adapter: Adapter<'creating'>, error: EndpointNotOurs) {
    await this.#ports.journal.write(adapter).catch(async (failure: unknown) => {
      await this.#deleteStray(adapter).catch(() => undefined);
      throw failure;
    });
    const turn = turned('creating', 'strayMade', adapter);
    return await this.#deleteStray(adapter).then(
      () => ({ cause: error, turn }),
      (failure: unknown) => ({ cause: failure, turn }),
    );
  }

  async #deleteStray({ stray, ...adapter }: Adapter<'creating' | 'deleting'>): Promise<void> {
    if (stray === undefined) return;
    const absence = (error: unknown) => this.#absence.confirm({ ...adapter, endpointId: stray }, error);
    await this.#ports.networks.deleteEndpoint(stray).catch(absence);
  }

  #effectOf(adapter: Adapter, { run, wish }: StepWish): Effect | undefined {
    switch (adapter.state) {
      case 'creating':
        return () => this.#create(adapter, wish);
      case 'changing':
        return () => this.#change(adapter);
      case 'deleting':
        return () => this.#delete(adapter);
      case 'attaching':
        return run === undefined || adapter.inUse === true ? undefined : () => this.#attach(adapter, run);
      case 'attached':
        return run === undefined ? undefined : () => this.#configure(adapter, run);
      case 'detaching':
        return run === undefined ? undefined : () => this.#detach(adapter, run);
      default:
        return undefined;
    }
  }

  async #create(adapter: Adapter<'creating'>, wish: StepWish['wish']): Promise<Turn> {
    await this.#deleteStray(adapter);
    let found = await this.#find(adapter);
    if (found !== undefined && (adapter.replaces === true || found.networkId.toLowerCase() !== adapter.networkId)) {
      await this.#ports.networks.deleteEndpoint(adapter.endpointId);
      found = undefined;
    }
    const place = placeOf(found ?? (await this.#make(adapter, wish)));
    const policies = found === undefined ? endpointPolicies(wish) : adapter.policies;
    return turned(adapter.state, 'made', { ...common({ ...adapter, policies }), state: 'created', place });
  }

  async #make(adapter: Adapter<'creating'>, wish: StepWish['wish']): Promise<ToldEndpoint> {
    const { networks } = this.#ports;
    const document = endpointDocument(placedWish(wish, adapter.place));
    const made = await networks.createEndpoint(adapter.networkId, document);
    if (made.id.toLowerCase() === adapter.endpointId) return made;
    const stray = endpointId.safeParse(made.id);
    const message = `HNS made the endpoint ${made.id} instead of ${adapter.endpointId}`;
    // An answer with another name is about somebody else's.
    throw new EndpointNotOurs(message, made.name === document.name ? stray.data : undefined);
  }

  async #change(adapter: Adapter<'changing'>): Promise<Turn> {
    const { adapterId, place, state, wanted } = adapter;
    await this.#read(adapter);
    await this.#ports.networks.modifyEndpoint(adapter.endpointId, policyChange('Update', wanted));
    const changed = common({ ...adapter, policies: wanted });
    if (adapterId === undefined) return turned(state, 'changed', { ...changed, state: 'created', place });
    return turned(state, 'changedInVm', { ...changed, state: 'attached', place, adapterId });
  }

  async #delete(adapter: Adapter<'deleting'>): Promise<Turn> {
    const { networks } = this.#ports;
    await this.#deleteStray(adapter);
    if ((await this.#foundToDelete(adapter)) !== undefined) {
      await networks.deleteEndpoint(adapter.endpointId).catch((error) => this.#absence.confirm(adapter, error));
    }
    return turned(adapter.state, 'deleted', { ...common(adapter), state: 'gone' });
  }

  /** Somebody else's endpoint with the id is none to delete. */
  async #foundToDelete(adapter: Adapter<'deleting'>): Promise<ToldEndpoint | undefined> {
    try {
      return await this.#find(adapter);
    } catch (error) {
      if (error instanceof EndpointNotOurs) return undefined;
      throw error;
    }
  }

  async #attach(adapter: Adapter<'attaching'>, run: AdapterRun): Promise<Turn> {
    const { adapterId, place } = adapter;
    const endpoint = await this.#endpointFor(adapter);
    if (!this.#untried.delete(adapter.endpointId)) await run.remove(adapterId, bareEndpoint(adapter));
    await run.add(adapterId, endpoint);
    return turned(adapter.state, 'attached', { ...common(adapter), state: 'attached', place, adapterId });
  }

  async #configure(adapter: Adapter<'attached'>, run: AdapterRun): Promise<Turn> {
    const { adapterId, place, state } = adapter;
    const name = await run.configure(adapterId, await this.#endpointFor(adapter));
    return turned(state, 'configured', { ...common(adapter), state: 'configured', place, adapterId, interface: name });
  }

  async #detach(adapter: Adapter<'detaching'>, run: AdapterRun): Promise<Turn> {
    await run.remove(adapter.adapterId, bareEndpoint(adapter));
    if (adapter.isLost) return turned(adapter.state, 'remake', creating(adapter));
    return turned(adapter.state, 'detached', created(adapter));
  }

  /** HCS and the guest receive what HNS has now: it fills in routes and DNS servers. */
  async #endpointFor(adapter: Adapter): Promise<NetworkEndpoint> {
    const told = await this.#read(adapter);
    return { ...withOverhead(told), id: adapter.endpointId, namespaceId: namespaceIdOf(adapter) };
  }

  /** Undefined if HNS surely does not have it. */
  async #find(adapter: Adapter): Promise<ToldEndpoint | undefined> {
    try {
      return await this.#read(adapter);
    } catch (error) {
      await this.#absence.confirm(adapter, error);
      return undefined;
    }
  }

  async #read(adapter: Adapter): Promise<ToldEndpoint> {
    const told = await this.#ports.networks.endpoint(adapter.endpointId);
    this.#absence.found(adapter);
    const owner = told.id.toLowerCase() === adapter.endpointId ? ownerOf(told) : undefined;
    if (owner !== undefined) return told;
    throw new EndpointNotOurs(`HNS has another endpoint, ${told.name}, with the id ${adapter.endpointId}`);
  }
}

function placeOf({ addresses, macAddress }: ToldEndpoint): Place {
  return { macAddress, addresses };
}

function placedWish(wish: StepWish['wish'], place: Place | undefined): StepWish['wish'] {
  if (place === undefined) return wish;
  const { addresses, macAddress } = place;
  return { ...wish, macAddress, addresses: addresses.map((each) => `${each.address}/${each.prefixLength}`) };
}

/** Enough for a removal, also when HNS does not have the endpoint any more. */
function bareEndpoint(adapter: Adapter<'attaching' | 'detaching'>): NetworkEndpoint {
  return {
    id: adapter.endpointId,
    macAddress: adapter.place.macAddress,
    namespaceId: namespaceIdOf(adapter),
    dns: { domain: '', search: [], servers: [] },
    encapOverhead: 0,
    addresses: [],
    routes: [],
  };
}
