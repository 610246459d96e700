import { describe, expect, it } from 'vitest';
import { systemExists } from '../../../agent/vm/conditions.ts';
import { newRecord } from '../../../agent/vm/record.ts';
import { type MachineState, machineStates, rowOf } from '../../../agent/vm/states.ts';
import { stalePages, withStates } from '../../../docs/generate.ts';
import { commonEvents, stateDiagram } from '../../../docs/state-diagram.ts';
import { someUid } from '../../support/agent/assignments.ts';

const edges = machineStates.flatMap((from) =>
  Object.entries(rowOf(from).events).map(([event, to]) => ({ from, event, to })),
);
const next = (state: MachineState) => edges.filter(({ from }) => from === state);
const staying = (...stays: readonly string[]) => machineStates.filter((state) => stays.includes(rowOf(state).stay));
const show = ({ event, from, to }: (typeof edges)[number]) => `${from} ${event} ${to}`;

/** The states that can be reached without going through the states in `without` and without the events in `unless`. */
function reachable(from: MachineState, without: readonly MachineState[] = [], unless: readonly string[] = []) {
  const seen = new Set<MachineState>([from]);
  for (const state of seen) {
    for (const { event, to } of next(state)) if (!without.includes(to) && !unless.includes(event)) seen.add(to);
  }
  return seen;
}

describe('the table of states', () => {
  it('reaches every state from the first one', () => {
    expect([...reachable('Unknown')].sort()).toEqual([...machineStates].sort());
  });

  it('has one final state, which nothing leads out of', () => {
    expect(staying('final')).toEqual(['Forgotten']);
    expect(next('Forgotten')).toEqual([]);
  });

  it('has a failure-free path from every state but the last to a state where a VM rests', () => {
    for (const state of staying('passing', 'resting')) {
      const out = next(state).filter(({ event, to }) => event !== 'lost' && to !== state);
      expect(out.length, state).toBeGreaterThan(0);
      const rests = staying('resting', 'final').filter((each) => each !== state);
      const reached = reachable(state, [], ['lost', 'failed', 'overdue']);
      expect(
        rests.some((each) => reached.has(each)),
        state,
      ).toBe(true);
    }
  });

  it('has a path from every state to the final one', () => {
    for (const state of machineStates) expect(reachable(state), state).toContain('Forgotten');
  });

  it('handles the loss of the compute service in every state but the last', () => {
    for (const state of staying('passing', 'resting')) expect(rowOf(state).events['lost'], state).toBe('Unknown');
  });

  it('waits in Draining for an overdue call of every state that can have one, and of no other', () => {
    for (const state of machineStates) {
      expect(rowOf(state).events['overdue'], state).toBe(rowOf(state).awaitsCalls ? 'Draining' : undefined);
    }
  });

  it('leaves Draining only when the awaited call has returned', () => {
    expect(rowOf('Draining').events).toEqual({ returned: 'Stopping', lost: 'Unknown' });
  });

  it('repeats a failed step, or undoes what it has begun', () => {
    const undone = edges.filter(({ event, from, to }) => event === 'failed' && to !== from).map(show);
    expect(undone).toEqual(['Preparing failed Cleaning', 'Creating failed Stopping', 'Starting failed Stopping']);
  });

  it('never creates a system again before the old one was stopped and cleaned up', () => {
    for (const state of machineStates.filter((each) => rowOf(each).presence !== 'absent')) {
      const direct = reachable(state, ['Cleaning', 'Unknown']);
      direct.delete(state);
      if (state !== 'Preparing') expect([...direct], state).not.toContain('Preparing');
    }
  });

  it('treats a system as gone only when it was not found or has been stopped', () => {
    const gone = edges.filter(({ from, to }) => rowOf(from).system !== 'none' && rowOf(to).system === 'none');
    expect(gone.map(show)).toEqual(['Unknown foundNothing Cleaning', 'Stopping stopped Cleaning']);
  });

  it.each(['Stopping', 'Draining'] as const)('%s: has the created system, and no other', (state) => {
    const record = newRecord(someUid, '11111111-2222-4333-8444-555555555555');
    expect(systemExists({ record, state })).toBe(false);
    const created = { ...record, bootTimings: { created: '2026-01-01T00:00:00Z' } };
    expect(systemExists({ record: created, state })).toBe(true);
  });

  it('creates a system in one place, when nothing exists', () => {
    const making = edges.filter(({ event, from, to }) => {
      const isNew = rowOf(from).system === 'none' && rowOf(to).system !== 'none';
      return isNew && event !== 'lost' && event !== 'overdue';
    });
    expect(making.map(show)).toEqual(['Preparing prepared Creating']);
    expect(edges.filter(({ to }) => to === 'Creating').map(show)).toEqual(['Preparing prepared Creating']);
  });

  it('forgets a VM only in Idle', () => {
    expect(edges.filter(({ to }) => to === 'Forgotten').map(show)).toEqual(['Idle forget Forgotten']);
  });

  it('describes every state', () => {
    const sentences = machineStates.map((state) => rowOf(state).is);
    expect(new Set(sentences).size).toBe(machineStates.length);
  });
});

describe('the diagram of the states', () => {
  it('in docs/design.md shows the current table', () => {
    expect(stalePages()).toEqual([]);
  });

  it('has an arrow for each event, except for the events that every state but the last knows', () => {
    expect(commonEvents()).toEqual([{ event: 'lost', to: 'Unknown' }]);
    for (const { event, from, to } of edges.filter((edge) => edge.event !== 'lost')) {
      expect(stateDiagram()).toContain(`    ${from} --> ${to}: ${event}\n`);
    }
  });

  it('has a place in the page, and a page without that place is refused', () => {
    const page = 'before\n<!-- states, generated from agent/vm/states.ts -->\nold\n<!-- end of states -->\nafter\n';
    expect(withStates(page, 'new')).toContain('.ts -->\n\nnew\n\n<!-- end of states -->\nafter');
    expect(() => withStates('no marks', 'new')).toThrow('lacks');
  });
});
