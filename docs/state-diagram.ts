// The states of a VM for readers of docs/design.md, and those of a network adapter for readers of docs/networks.md: a
// diagram of the transitions, and a table that describes each state.
import { adapterRowOf, adapterStateNames } from '../agent/network/adapter/states.ts';
import { machineStates, rowOf } from '../agent/vm/states.ts';

interface Row {
  readonly stay: 'passing' | 'resting' | 'final';
  readonly events: Readonly<Record<string, string>>;
}

/** By the name of the state; the first one is the initial state. */
type Rows = Readonly<Record<string, Row>>;

interface Edge {
  readonly from: string;
  readonly event: string;
  readonly to: string;
}

const machineRows: Rows = Object.fromEntries(machineStates.map((state) => [state, rowOf(state)]));
const adapterRows: Rows = Object.fromEntries(adapterStateNames.map((state) => [state, adapterRowOf(state)]));

/**
 * Events that every state but the last knows, and that lead to the same state from each. Their arrows would hide the
 * others.
 */
export function commonEvents(rows: Rows = machineRows): readonly Omit<Edge, 'from'>[] {
  const [first, ...others] = Object.entries(rows).filter(([, { stay }]) => stay !== 'final');
  if (first === undefined) return [];
  const isCommon = ({ event, to }: Edge) => others.every(([, { events }]) => events[event] === to);
  return edgesOf(first)
    .filter(isCommon)
    .map(({ event, to }) => ({ event, to }));
}

export function stateDiagram(rows: Rows = machineRows): string {
  const common = commonEvents(rows);
  const states = Object.entries(rows);
  const edges = states.flatMap(edgesOf).filter(({ event }) => common.every((each) => each.event !== event));
  const final = states.filter(([, { stay }]) => stay === 'final');
  const lines = [
    'stateDiagram-v2',
    ...states.slice(0, 1).map(([initial]) => `    [*] --> ${initial}`),
    ...edges.map(({ event, from, to }) => `    ${from} --> ${to}: ${event}`),
    ...final.map(([state]) => `    ${state} --> [*]`),
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

const endpoints = { none: 'no', unconfirmed: 'not known', certain: 'yes' } as const;

export function adapterTable(): string {
  const cells = adapterStateNames.map((state) => {
    const { durable, effect, endpoint, found, inMachine, is } = adapterRowOf(state);
    const columns = [`\`${state}\``, is, durable, effect, found, endpoints[endpoint], endpoints[inMachine]];
    return `| ${columns.join(' | ')} |`;
  });
  const head = [
    '| state | what it is | durable before the effect | effect | a new agent that finds it | in HNS | in the VM |',
    '|---|---|---|---|---|---|---|',
  ];
  return [...head, ...cells].join('\n');
}

export function adapterStatesText(): string {
  return [stateDiagram(adapterRows), adapterTable()].join('\n\n');
}

function edgesOf([from, { events }]: readonly [string, Row]): readonly Edge[] {
  return Object.entries(events).map(([event, to]) => ({ from, event, to }));
}
