// The states of one VM on its host, and what leads from one to the next.
//
//                 start           prepared          created           up
//         Idle ─────────► Preparing ─────► Creating ─────► Starting ─────► Running ◄───── adopted ─┐
//         ▲  │              │ failed         │ failed        │ failed        │ stop, exited        │
//         │  │ forget       │                ▼               ▼               ▼                     │
//         │  ▼              │              ┌─────────────── Stopping ◄──────────── leftover ─────┐ │
//         │ Forgotten       │              │ stopped         ▲  │ overdue                        │ │
//         │ cleaned         ▼              ▼        returned │  ▼                                │ │
//         └──────────────── Cleaning ◄─────┘                Draining ◄── overdue (any call)      │ │
//                           ▲                                                                    │ │
//                           └──────────────────── foundNothing ──────────────────────── Unknown ─┴─┘
//                                                                                         ▲
//                                                       lost (the compute service is gone, from anywhere),
//                                                       or an error of ours: the life begins again (`life-restart.ts`)
//
// Every half-done thing is a state with one way out: what was begun in Preparing is undone by Cleaning, what may exist in
// HCS is stopped by Stopping. In Draining a call that exceeded its bound is waited for before anything else is done, but for
// terminating its system, which makes it return (`draining.ts`).

export const machineStates = [
  'Unknown',
  'Idle',
  'Preparing',
  'Creating',
  'Starting',
  'Running',
  'Stopping',
  'Draining',
  'Cleaning',
  'Forgotten',
] as const;
export type MachineState = (typeof machineStates)[number];

export type MachineEvent =
  | 'foundNothing'
  | 'adopted'
  | 'leftover'
  | 'start'
  | 'prepared'
  | 'created'
  | 'up'
  | 'stop'
  | 'exited'
  | 'failed'
  | 'overdue'
  | 'returned'
  | 'stopped'
  | 'cleaned'
  | 'forget'
  | 'lost';

export const transitions: Readonly<Record<MachineState, Partial<Readonly<Record<MachineEvent, MachineState>>>>> = {
  Unknown: {
    foundNothing: 'Cleaning',
    adopted: 'Running',
    leftover: 'Stopping',
    // A call was under way when the life began again.
    overdue: 'Draining',
    lost: 'Unknown',
  },
  Idle: { start: 'Preparing', forget: 'Forgotten', lost: 'Unknown' },
  Preparing: { prepared: 'Creating', failed: 'Cleaning', overdue: 'Draining', lost: 'Unknown' },
  Creating: { created: 'Starting', failed: 'Stopping', overdue: 'Draining', lost: 'Unknown' },
  Starting: { up: 'Running', failed: 'Stopping', overdue: 'Draining', lost: 'Unknown' },
  Running: { stop: 'Stopping', exited: 'Stopping', lost: 'Unknown' },
  Stopping: { stopped: 'Cleaning', failed: 'Stopping', overdue: 'Draining', lost: 'Unknown' },
  Draining: { returned: 'Stopping', lost: 'Unknown' },
  Cleaning: { cleaned: 'Idle', failed: 'Cleaning', overdue: 'Draining', lost: 'Unknown' },
  Forgotten: { lost: 'Forgotten' },
};
