// The states of one VM on its host. A row says all of a state that is the same for every VM in it: the code runs on this
// table, a test proves its rules, and the diagram in docs/design.md §8 is generated from it.
//
// Every half-done thing is a state with one way out: Cleaning undoes what Preparing has begun, Stopping ends what may exist
// in HCS. What a state carries is in `situation.ts`, what is done in it in `steps.ts`.
import type { MachinePhase } from '../../protocol/messages.ts';
import type { ReasonCode } from '../../protocol/reasons.ts';

/** Whether the VM exists, to the decision what to do next (`decision.ts`): not at all, going up, or up. */
export type Presence = 'absent' | 'booting' | 'running';

/** Whether HCS may have a compute system of the VM: surely not, nobody has seen it yet, if its creation is in the record, or surely. */
type SystemPresence = 'none' | 'unconfirmed' | 'asRecorded' | 'certain';

interface StateRow<Name extends string> {
  readonly is: string;
  /** How long a VM stays: until the step is done, until something else is wanted or it ends by itself, or for good. */
  readonly stay: 'passing' | 'resting' | 'final';
  /** As the status shows it. */
  readonly phase: MachinePhase;
  readonly presence: Presence;
  readonly system: SystemPresence;
  /** Its step may fail because a call to HCS or the host has not come back in time. */
  readonly awaitsCalls: boolean;
  /** Why the VM is not as it should be, after an error that says no better reason itself. */
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
    // `overdue`: a call was under way when an error of ours began the life again (`life-restart.ts`).
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
    // A call of a change that hangs is waited for beside the step (`changes/apply.ts`): the VM is not stopped for it.
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

/** For any state, of which the types know no row. */
export function rowOf(state: MachineState): StateRow<MachineState> {
  return states[state];
}
