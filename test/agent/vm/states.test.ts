import { describe, expect, it } from 'vitest';
import { presenceOf } from '../../../agent/vm/report.ts';
import { type MachineState, machineStates, transitions } from '../../../agent/vm/states.ts';

const next = (state: MachineState) => Object.values(transitions[state]);

function reachable(from: MachineState, without: readonly MachineState[] = []): Set<MachineState> {
  const seen = new Set<MachineState>([from]);
  for (const state of seen) for (const to of next(state)) if (!without.includes(to)) seen.add(to);
  return seen;
}

describe('the table of transitions', () => {
  it('reaches every state from the first one', () => {
    expect([...reachable('Unknown')].sort()).toEqual([...machineStates].sort());
  });

  it('has a way to the end from everywhere', () => {
    for (const state of machineStates) expect(reachable(state), state).toContain('Forgotten');
  });

  it('never creates a system again before the old one was stopped and cleaned up', () => {
    for (const state of machineStates.filter((each) => presenceOf[each] !== 'absent')) {
      const direct = reachable(state, ['Cleaning', 'Unknown']);
      direct.delete(state);
      if (state !== 'Preparing') expect([...direct], state).not.toContain('Preparing');
    }
  });

  it('leaves Draining only by what was waited for', () => {
    expect(transitions.Draining).toEqual({ returned: 'Stopping', lost: 'Unknown' });
  });

  it('knows in every state that the compute service may be lost', () => {
    for (const state of machineStates) expect(transitions[state].lost, state).toBeDefined();
  });

  it('forgets only what is idle', () => {
    const forgetting = machineStates.filter((state) => transitions[state].forget !== undefined);
    expect(forgetting).toEqual(['Idle']);
  });
});
