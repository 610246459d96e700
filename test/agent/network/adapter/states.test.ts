import { describe, expect, it } from 'vitest';
import { type AdapterState, adapterRowOf, adapterStateNames } from '../../../../agent/network/adapter/states.ts';
import { stalePages } from '../../../../docs/generate.ts';
import { adapterStatesText } from '../../../../docs/state-diagram.ts';

const edges = adapterStateNames.flatMap((from) =>
  Object.entries(adapterRowOf(from).events).map(([event, to]) => ({ from, event, to })),
);
const show = ({ event, from, to }: (typeof edges)[number]) => `${from} ${event} ${to}`;

/** The states that can be reached without going through those in `without`. */
function reachable(from: AdapterState, without: readonly AdapterState[] = []): ReadonlySet<AdapterState> {
  const seen = new Set([from]);
  for (const state of seen) {
    for (const edge of edges) if (edge.from === state && !without.includes(edge.to)) seen.add(edge.to);
  }
  return seen;
}

describe('the table of the states of an adapter', () => {
  it('reaches every state from the first one, and the last one from every state', () => {
    expect([...reachable('creating')].sort()).toEqual([...adapterStateNames].sort());
    for (const state of adapterStateNames) expect(reachable(state), state).toContain('gone');
  });

  it('forgets an adapter only after the deletion of its endpoint', () => {
    expect(edges.filter(({ to }) => to === 'gone').map(show)).toEqual(['deleting deleted gone']);
    expect([...reachable('deleting')]).toEqual(['deleting', 'gone']);
  });

  it('deletes no endpoint whose adapter is certainly in a running VM', () => {
    const inVm = adapterStateNames.filter((state) => adapterRowOf(state).inMachine === 'certain');
    expect(inVm).toEqual(['attached', 'configured']);
    for (const state of inVm) {
      expect(edges.filter(({ from, to }) => from === state && to === 'deleting')).toEqual([]);
    }
  });

  it('is out of the VM only after a removal, or the end of the run', () => {
    const out = edges.filter(
      ({ from, to }) => adapterRowOf(from).inMachine !== 'none' && adapterRowOf(to).inMachine === 'none',
    );
    const isOfVm = ({ from }: (typeof edges)[number]) => from !== 'changing';
    expect([...new Set(out.filter(isOfVm).map(({ event }) => event))].sort()).toEqual(
      ['detached', 'remake', 'replace', 'runEnded'].sort(),
    );
  });

  it('describes every state', () => {
    expect(new Set(adapterStateNames.map((state) => adapterRowOf(state).is)).size).toBe(adapterStateNames.length);
  });

  it('is in docs/networks.md as it is, with an arrow for each event', () => {
    expect(stalePages()).toEqual([]);
    for (const { event, from, to } of edges) {
      expect(adapterStatesText()).toContain(`    ${from} --> ${to}: ${event}\n`);
    }
  });
});
