// The states of a VM for readers of docs/design.md: a diagram of the transitions, and a table that describes each
// state.
import { type MachineState, machineStates, rowOf } from '../agent/vm/states.ts';

interface Edge {
  readonly from: MachineState;
  readonly event: string;
  readonly to: MachineState;
}

/**
 * Events that every state but the last knows, and that lead to the same state from each. Their arrows would hide the
 * others.
 */
export function commonEvents(): readonly Omit<Edge, 'from'>[] {
  const [first, ...others] = machineStates.filter((state) => rowOf(state).stay !== 'final');
  if (first === undefined) return [];
  const isCommon = ({ event, to }: Edge) => others.every((state) => rowOf(state).events[event] === to);
  return edgesOf(first)
    .filter(isCommon)
    .map(({ event, to }) => ({ event, to }));
}

export function stateDiagram(): string {
  const common = commonEvents();
  const edges = machineStates.flatMap(edgesOf).filter(({ event }) => common.every((each) => each.event !== event));
  const [initial] = machineStates;
  const final = machineStates.filter((state) => rowOf(state).stay === 'final');
  const lines = [
    'stateDiagram-v2',
    `    [*] --> ${initial}`,
    ...edges.map(({ event, from, to }) => `    ${from} --> ${to}: ${event}`),
    ...final.map((state) => `    ${state} --> [*]`),
  ];
  return ['```mermaid', ...lines, '```'].join('\n');
}

const systems = { none: 'no', unconfirmed: 'not known', asRecorded: 'if it was created', certain: 'yes' } as const;

export function stateTable(): string {
  const cells = machineStates.map((state) => {
    const { is, phase, system } = rowOf(state);
    return `| \`${state}\` | ${is} | ${phase} | ${systems[system]} |`;
  });
  return ['| state | what it is | phase | in HCS |', '|---|---|---|---|', ...cells].join('\n');
}

export function statesText(): string {
  const common = commonEvents().map(
    ({ event, to }) => `\`${event}\` leads from every state but the last to \`${to}\`.`,
  );
  return [stateDiagram(), ...common, stateTable()].join('\n\n');
}

function edgesOf(from: MachineState): readonly Edge[] {
  return Object.entries(rowOf(from).events).map(([event, to]) => ({ from, event, to }));
}
