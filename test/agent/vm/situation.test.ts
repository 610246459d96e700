// What the compiler checks about states: a step cannot read what its state does not have, and cannot end with an event
// that its state does not know. `npm run check:types` checks the types; this file runs the functions beside them.
import { expect, it } from 'vitest';
import { Handles } from '../../../agent/vm/handles.ts';
import { handlesOf, isBooting, lost, type Outcome, type Situation } from '../../../agent/vm/situation.ts';
import { machineStates, rowOf } from '../../../agent/vm/states.ts';

const handles = new Handles();
const overdue = Promise.resolve();

it('a step ends with events that its state knows, in the state that the table says', () => {
  const stop: Outcome<'Running'> = { event: 'stop', next: { state: 'Stopping', handles } };
  // @ts-expect-error: Running does not know `overdue`.
  const unknown: Outcome<'Running'> = { event: 'overdue', next: { state: 'Draining', overdue, handles } };
  // @ts-expect-error: `stop` leads to Stopping.
  const elsewhere: Outcome<'Running'> = { event: 'stop', next: { state: 'Cleaning' } };
  // @ts-expect-error: Stopping has the handles of the run.
  const without: Outcome<'Running'> = { event: 'stop', next: { state: 'Stopping' } };
  expect(new Set([stop, unknown, elsewhere, without]).size).toBe(4);
});

it('a step reads only what its state has', () => {
  const read = {
    // @ts-expect-error: in Idle the host has nothing of the VM.
    idle: ({ system }: Situation<'Idle'>) => system,
    // @ts-expect-error: in Preparing the plan does not exist yet.
    preparing: ({ plan }: Situation<'Preparing'>) => plan,
    // @ts-expect-error: a VM that has booted does not keep its plan.
    running: ({ plan }: Situation<'Running'>) => plan,
    starting: ({ plan, run, system }: Situation<'Starting'>) => ({ plan, run, system }),
  };
  expect(Object.keys(read)).toHaveLength(4);
});

it('a state without handles has nothing open', () => {
  expect(handlesOf({ state: 'Idle' })).toEqual(new Handles());
  expect(handlesOf({ state: 'Stopping', handles })).toBe(handles);
  expect(handlesOf(lost().next)).toEqual(new Handles());
});

it('a boot can be aborted in the states of a boot, and in no other', () => {
  const booting = machineStates.filter((state) => rowOf(state).presence === 'booting');
  expect(booting).toEqual(['Preparing', 'Creating', 'Starting']);
  expect(isBooting({ state: 'Preparing', interrupt: new AbortController() })).toBe(true);
  expect(isBooting({ state: 'Cleaning' })).toBe(false);
});
