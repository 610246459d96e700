// What the compiler knows of the states: a step cannot read what its state does not have, nor end with an event that its
// state does not know. `npm run check:types` is the judge; what runs here are the functions beside the types.
import { expect, it } from 'vitest';
import { Handles } from '../../../agent/vm/handles.ts';
import { handlesOf, isBooting, lost, type Outcome, type Situation } from '../../../agent/vm/situation.ts';
import { machineStates, rowOf } from '../../../agent/vm/states.ts';

const handles = new Handles();
const overdue = Promise.resolve();

it('a step ends with events that its state knows, and leads where the table says', () => {
  const stop: Outcome<'Running'> = { event: 'stop', next: { state: 'Stopping', handles } };
  // @ts-expect-error: Running knows no `overdue`.
  const unknown: Outcome<'Running'> = { event: 'overdue', next: { state: 'Draining', overdue, handles } };
  // @ts-expect-error: `stop` leads to Stopping.
  const elsewhere: Outcome<'Running'> = { event: 'stop', next: { state: 'Cleaning' } };
  // @ts-expect-error: Stopping has the handles of the run.
  const without: Outcome<'Running'> = { event: 'stop', next: { state: 'Stopping' } };
  expect(new Set([stop, unknown, elsewhere, without]).size).toBe(4);
});

it('a step reads what its state has, and nothing else', () => {
  const read = {
    // @ts-expect-error: nothing of the VM is on the host.
    idle: ({ system }: Situation<'Idle'>) => system,
    // @ts-expect-error: the plan is being made.
    preparing: ({ plan }: Situation<'Preparing'>) => plan,
    // @ts-expect-error: what has booted needs its plan no more.
    running: ({ plan }: Situation<'Running'>) => plan,
    starting: ({ plan, run, system }: Situation<'Starting'>) => ({ plan, run, system }),
  };
  expect(Object.keys(read)).toHaveLength(4);
});

it('nothing is open in a state without handles', () => {
  expect(handlesOf({ state: 'Idle' })).toEqual(new Handles());
  expect(handlesOf({ state: 'Stopping', handles })).toBe(handles);
  expect(handlesOf(lost().next)).toEqual(new Handles());
});

it('a boot can be cut short in the states of one, and in no other', () => {
  const booting = machineStates.filter((state) => rowOf(state).presence === 'booting');
  expect(booting).toEqual(['Preparing', 'Creating', 'Starting']);
  expect(isBooting({ state: 'Preparing', interrupt: new AbortController() })).toBe(true);
  expect(isBooting({ state: 'Cleaning' })).toBe(false);
});
