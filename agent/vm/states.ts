// The states of one VM on its host. A row has everything about a state that is the same for all VMs. The code runs on
// this table, a test proves its rules, and the diagram in docs/design.md §8 is generated from it.
//
// Every half-done thing is a state with one way out: Cleaning undoes what Preparing began, Stopping terminates what may
// exist in HCS. `situation.ts` has the data of each state, `steps.ts` its actions.
import type { MachinePhase } from '../../protocol/messages.ts';
import type { ReasonCode } from '../../protocol/reasons.ts';

/** Whether the VM exists, as the decision about its next action sees it (`decision.ts`): not at all, booting, or up. */
export type Presence = 'absent' | 'booting' | 'running';

/**
 * Whether HCS has a compute system of the VM: certainly not, perhaps but not seen yet, if the record has its creation,
 * or certainly.
 */
type SystemPresence = 'none' | 'unconfirmed' | 'asRecorded' | 'certain';

interface StateRow<Name extends string> {
  readonly is: string;
  /**
   * How long a VM stays in the state: until the step is done (passing), until something else is wanted or the VM ends
   * by itself (resting), or for good (final).
   */
  readonly stay: 'passing' | 'resting' | 'final';
  /** The phase that the status shows. */
  readonly phase: MachinePhase;
  readonly presence: Presence;
  readonly system: SystemPresence;
  /** The step of this state may fail because a call to HCS or the host has not returned in time. */
  readonly awaitsCalls: boolean;
  /** The reason after an error that has no reason of its own. */
  readonly failure: ReasonCode;
  /** The events that the state knows, and where each leads. */
  readonly events: Readonly<Record<string, Name>>;
}

export const states = {
  Unknown: {
    is: 'the agent has not found out yet what HCS has of the VM',
    stay: 'passing',
    phase: 'Unknown',
    presence: 'absent',
    system: 'unconfirmed',
    awaitsCalls: true,
    failure: 'HostQueryFailed',
    // `overdue`: a call was under way when an internal error began the life again (`life-restart.ts`).
    events: {
      foundNothing: 'Cleaning',
      adopted: 'Running',
      leftover: 'Stopping',
      overdue: 'Draining',
      lost: 'Unknown',
    },
  },
  Idle: {
    is: 'nothing of the VM is left on the host, and it waits until it is to be started',
    stay: 'resting',
    phase: 'Stopped',
    presence: 'absent',
    system: 'none',
    awaitsCalls: false,
    failure: 'CleanUpFailed',
    events: { start: 'Preparing', forget: 'Forgotten', lost: 'Unknown' },
  },
  Preparing: {
    is: 'the agent works out how to boot the VM, reserves what it uses and stages its files',
    stay: 'passing',
    phase: 'Staging',
    presence: 'booting',
    system: 'none',
    awaitsCalls: true,
    failure: 'StagingFailed',
    events: { prepared: 'Creating', failed: 'Cleaning', overdue: 'Draining', lost: 'Unknown' },
  },
  Creating: {
    is: 'HCS creates the compute system, and the agent listens for its guest',
    stay: 'passing',
    phase: 'Creating',
    presence: 'booting',
    system: 'unconfirmed',
    awaitsCalls: true,
    failure: 'CreateFailed',
    events: { created: 'Starting', failed: 'Stopping', overdue: 'Draining', lost: 'Unknown' },
  },
  Starting: {
    is: 'HCS starts the compute system, and its guest boots',
    stay: 'passing',
    phase: 'Starting',
    presence: 'booting',
    system: 'certain',
    awaitsCalls: true,
    failure: 'StartFailed',
    events: { up: 'Running', failed: 'Stopping', overdue: 'Draining', lost: 'Unknown' },
  },
  Running: {
    is: 'the guest is up, and is given the changes that need no restart',
    stay: 'resting',
    phase: 'Running',
    presence: 'running',
    system: 'certain',
    // The VM is not stopped for a live change that hangs: its call is awaited in the background (`changes/apply.ts`).
    awaitsCalls: false,
    failure: 'StopFailed',
    events: { stop: 'Stopping', exited: 'Stopping', lost: 'Unknown' },
  },
  Stopping: {
    is: 'the agent leaves the guest, terminates the compute system and closes it',
    stay: 'passing',
    phase: 'Stopping',
    presence: 'running',
    system: 'asRecorded',
    awaitsCalls: true,
    failure: 'StopFailed',
    events: { stopped: 'Cleaning', failed: 'Stopping', overdue: 'Draining', lost: 'Unknown' },
  },
  Draining: {
    is: 'the agent waits for a call that exceeded its bound, and terminates its system so that the call returns',
    stay: 'passing',
    phase: 'Stopping',
    presence: 'running',
    system: 'asRecorded',
    awaitsCalls: false,
    failure: 'StopFailed',
    events: { returned: 'Stopping', lost: 'Unknown' },
  },
  Cleaning: {
    is: 'the agent takes back what was staged and granted for the VM',
    stay: 'passing',
    phase: 'Stopping',
    presence: 'absent',
    system: 'none',
    awaitsCalls: true,
    failure: 'CleanUpFailed',
    events: { cleaned: 'Idle', failed: 'Cleaning', overdue: 'Draining', lost: 'Unknown' },
  },
  Forgotten: {
    is: 'the folder and the journal entry of the VM are gone',
    stay: 'final',
    phase: 'Stopped',
    presence: 'absent',
    system: 'none',
    awaitsCalls: false,
    failure: 'StopFailed',
    events: {},
  },
} as const satisfies Readonly<Record<string, StateRow<string>>>;

type States = typeof states;
export type MachineState = keyof States;
/** The events that a state knows. */
export type EventOf<State extends MachineState> = keyof States[State]['events'];
/** Where an event leads. */
export type TargetOf<State extends MachineState, Event extends EventOf<State>> = Extract<
  States[State]['events'][Event],
  MachineState
>;

export const machineStates: readonly MachineState[] = Object.keys(states).filter(isState);

function isState(name: string): name is MachineState {
  return Object.hasOwn(states, name);
}

/** The row of a state that is not known at compile time. */
export function rowOf(state: MachineState): StateRow<MachineState> {
  return states[state];
}
