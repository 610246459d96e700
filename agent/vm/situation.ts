// The state of a VM together with the data that only this state has. A step receives the data of its state. It returns
// the event that ends the state, and the data of the next state. The table of states types both.
import type { ComputeSystem, SystemProperties } from '../node/backend.ts';
import type { BootPlan } from '../preparation/plan.ts';
import type { GuestRun } from '../run/guest-run.ts';
import type { LiveChanges } from './changes/progress.ts';
import { Handles } from './handles.ts';
import type { EventOf, MachineState, TargetOf } from './states.ts';

interface Data {
  readonly Unknown: {
    /** The system that a complete enumeration of HCS found with this VM's id; absent before the enumeration. */
    readonly found?: { readonly properties: SystemProperties | undefined };
    /** The call that Draining was awaiting when an internal error began the life again. */
    readonly overdue?: Promise<unknown>;
    /** A late answer of HCS about the system. The VM is not stopped for that, because it may be adopted. */
    readonly slow?: Promise<unknown>;
    readonly handles: Handles;
  };
  readonly Idle: object;
  readonly Preparing: {
    /** Interrupts the boot. */
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

/** The situation in any state, or in one of the given states. */
export type Situation<State extends MachineState = MachineState> = {
  readonly [Each in State]: { readonly state: Each } & Data[Each];
}[State];

/** The end of a step: an event that its state knows, and the data of the state that the event leads to. */
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

/** The open handles of the VM in this situation. */
export function handlesOf(situation: Situation): Handles {
  if ('handles' in situation) return situation.handles;
  return 'system' in situation ? new Handles(situation) : new Handles();
}

/** Whether there is a boot that can be interrupted. */
export function isBooting(situation: Situation): situation is Situation<'Preparing' | 'Creating' | 'Starting'> {
  return 'interrupt' in situation;
}
