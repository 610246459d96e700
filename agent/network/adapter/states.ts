// The states of one network adapter of a VM, on the host that the VM is assigned to. The code runs on this table, a test
// proves its rules, and the diagram in docs/networks.md is generated from it.
//
// The journal has a state before its effect begins, so an agent that finds the state after a death knows what may have
// happened. An effect that failed is repeated in its state, unless an event says otherwise (`failures.ts`). `adapter.ts`
// has the data of each state, `turns.ts` what begins by itself, `executor.ts` the effects.

interface AdapterRow<Name extends string> {
  readonly is: string;
  /** Until its effect is done (passing), until something else is wanted or happens (resting), or for good (final). */
  readonly stay: 'passing' | 'resting' | 'final';
  /** What the journal has from here on, in addition to name, network and id of the endpoint. */
  readonly durable: string;
  readonly effect: string;
  /** What a new agent does that finds the state in its journal. */
  readonly found: string;
  /** Whether HNS has the endpoint. */
  readonly endpoint: 'none' | 'unconfirmed' | 'certain';
  /** Whether the running VM has the adapter. */
  readonly inMachine: 'none' | 'unconfirmed' | 'certain';
  /** The events that the state knows, and where each leads. */
  readonly events: Readonly<Record<string, Name>>;
}

export const adapterStates = {
  creating: {
    is: 'HNS makes the endpoint, or makes a lost one again',
    stay: 'passing',
    durable: 'the policies, and of a lost endpoint the MAC address and the addresses',
    effect: 'HcnCreateEndpoint',
    found: 'reads the endpoint by its id; creates it if it is not there',
    endpoint: 'unconfirmed',
    inMachine: 'none',
    // `change`: the policies are other ones now, and the endpoint may have been made with either. `strayMade`: HNS gave
    // the endpoint another id.
    events: { made: 'created', change: 'creating', strayMade: 'creating', release: 'deleting' },
  },
  created: {
    is: 'the endpoint exists, and no VM uses it',
    stay: 'resting',
    durable: 'MAC address, addresses',
    effect: 'none',
    found: 'nothing',
    endpoint: 'certain',
    inMachine: 'none',
    events: { attach: 'attaching', change: 'changing', lost: 'creating', release: 'deleting' },
  },
  attaching: {
    is: 'the running VM gets the adapter',
    stay: 'passing',
    durable: 'the id of the adapter',
    effect: 'HCS adds the adapter, then the guest',
    found: 'removes it from the guest and from HCS, then adds it: the guest refuses to add what it knows',
    endpoint: 'certain',
    inMachine: 'unconfirmed',
    // `inUse`: HNS has the endpoint attached elsewhere. Only the end of the VM helps, then the endpoint is replaced.
    events: {
      attached: 'attached',
      inUse: 'attaching',
      detach: 'detaching',
      lost: 'detaching',
      runEnded: 'created',
      replace: 'creating',
    },
  },
  attached: {
    is: 'the VM has the adapter, and the guest sets up its interface',
    stay: 'passing',
    durable: 'that it was added',
    effect: 'programs in the guest configure the interface',
    found: 'runs the programs again: they can be repeated',
    endpoint: 'certain',
    inMachine: 'certain',
    events: {
      configured: 'configured',
      change: 'changing',
      detach: 'detaching',
      lost: 'detaching',
      runEnded: 'created',
    },
  },
  configured: {
    is: 'the guest uses the adapter',
    stay: 'resting',
    durable: 'the name of the interface',
    effect: 'none',
    found: 'configures it once more (`adopted`)',
    endpoint: 'certain',
    inMachine: 'certain',
    events: { adopted: 'attached', change: 'changing', detach: 'detaching', lost: 'detaching', runEnded: 'created' },
  },
  detaching: {
    is: 'the adapter is taken out of the running VM',
    stay: 'passing',
    durable: 'whether the endpoint was lost',
    effect: 'the guest removes the adapter, then HCS',
    found: 'removes it again; nothing there is success',
    endpoint: 'unconfirmed',
    inMachine: 'unconfirmed',
    // `remake`: the endpoint was lost.
    events: { detached: 'created', remake: 'creating', runEnded: 'created' },
  },
  changing: {
    is: 'HNS replaces the policies of the endpoint',
    stay: 'passing',
    durable: 'the old policies and the new ones',
    effect: 'HcnModifyEndpoint',
    found: 'sends the change again: it names all policies',
    endpoint: 'certain',
    inMachine: 'unconfirmed',
    // `changedInVm`, `lostInVm`: the VM has the adapter.
    events: {
      changed: 'created',
      changedInVm: 'attached',
      change: 'changing',
      detach: 'detaching',
      lost: 'creating',
      lostInVm: 'detaching',
      runEnded: 'changing',
      release: 'deleting',
    },
  },
  deleting: {
    is: 'HNS deletes the endpoint',
    stay: 'passing',
    durable: 'that it is to be deleted',
    effect: 'HcnDeleteEndpoint, by the recorded id',
    found: 'deletes it again; gone is success',
    endpoint: 'unconfirmed',
    inMachine: 'none',
    events: { deleted: 'gone' },
  },
  gone: {
    is: 'nothing of the adapter is left, and the journal has no entry of it',
    stay: 'final',
    durable: 'nothing',
    effect: 'none',
    found: 'nothing',
    endpoint: 'none',
    inMachine: 'none',
    events: {},
  },
} as const satisfies Readonly<Record<string, AdapterRow<string>>>;

type States = typeof adapterStates;
export type AdapterState = keyof States;
/** The events that a state knows. */
export type EventOf<State extends AdapterState> = keyof States[State]['events'];
/** Where an event leads. */
export type TargetOf<State extends AdapterState, Event extends EventOf<State>> = Extract<
  States[State]['events'][Event],
  AdapterState
>;

export const adapterStateNames: readonly AdapterState[] = Object.keys(adapterStates).filter(isState);

function isState(name: string): name is AdapterState {
  return Object.hasOwn(adapterStates, name);
}

/** The row of a state that is not known at compile time. */
export function adapterRowOf(state: AdapterState): AdapterRow<AdapterState> {
  return adapterStates[state];
}
