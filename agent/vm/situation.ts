// The state that a VM is in, with what it has there and nowhere else: a step is given what its state has, and returns the
// event that it ends with and what the next state has. Both are typed by the table of states.
import type { ComputeSystem, SystemProperties } from '../node/backend.ts';
import type { BootPlan } from '../preparation/plan.ts';
import type { GuestRun } from '../run/guest-run.ts';
import type { LiveChanges } from './changes/progress.ts';
import { Handles } from './handles.ts';
import type { EventOf, MachineState, TargetOf } from './states.ts';

interface Data {
  readonly Unknown: {
    /** What a complete enumeration of HCS found under this VM's id; absent before one. */
    readonly found?: { readonly properties: SystemProperties | undefined };
    /** A call that was waited for in Draining when the life began again. */
    readonly overdue?: Promise<unknown>;
    /** An answer about what is there that is late. The VM may go on: it is not stopped for that. */
    readonly slow?: Promise<unknown>;
    readonly handles: Handles;
  };
  readonly Idle: object;
  readonly Preparing: {
    /** Cuts the boot short that is under way. */
    readonly interrupt: AbortController;
  };
  readonly Creating: { readonly plan: BootPlan; readonly interrupt: AbortController; readonly handles: Handles };
  readonly Starting: {
    readonly plan: BootPlan;
    readonly interrupt: AbortController;
    readonly system: ComputeSystem;
    readonly run: GuestRun;
  };
  readonly Running: { readonly system: ComputeSystem; readonly run: GuestRun; readonly changes: LiveChanges };
  readonly Stopping: { readonly handles: Handles };
  readonly Draining: {
    /** The call that exceeded its bound and is still running. */
    readonly overdue: Promise<unknown>;
    readonly handles: Handles;
  };
  readonly Cleaning: object;
  readonly Forgotten: object;
}

/** Of any state, or of those that are named. */
export type Situation<State extends MachineState = MachineState> = {
  readonly [Each in State]: { readonly state: Each } & Data[Each];
}[State];

/** How a step of a state ends: only with events that the state knows, each with what the state has that it leads to. */
export type Outcome<State extends MachineState = MachineState> = State extends MachineState
  ? {
      readonly [Event in EventOf<State>]: {
        readonly event: Event;
        readonly next: Situation<TargetOf<State, Event>>;
      };
    }[EventOf<State>]
  : never;

export const initialSituation = (): Situation<'Unknown'> => ({ state: 'Unknown', handles: new Handles() });

/** The compute service is gone, and every handle with it. */
export function lost() {
  return { event: 'lost', next: initialSituation() } as const;
}

/** What is open of the VM in this state. */
export function handlesOf(situation: Situation): Handles {
  if ('handles' in situation) return situation.handles;
  return 'system' in situation ? new Handles(situation) : new Handles();
}

/** Only then can a boot be cut short. */
export function isBooting(situation: Situation): situation is Situation<'Preparing' | 'Creating' | 'Starting'> {
  return 'interrupt' in situation;
}
