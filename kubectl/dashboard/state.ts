// What the user looks at, and what a key changes about it: pure, so that tests need no terminal.
import { type Fleet, ordered, type View, views } from './fleet.ts';
import type { Key, KeyName } from './keys.ts';
import type { HostRow, MachineRow, SetRow } from './rows.ts';

export interface State {
  readonly view: View;
  readonly filter: string;
  /** `Filter`: letters go to the filter. `Restart`: a question waits for an answer. */
  readonly mode: 'Look' | 'Filter' | 'Restart';
  /** By view: the key of the chosen row, which stays chosen when rows come and go. */
  readonly chosen: Readonly<Record<View, string>>;
  /** What the last action said. */
  readonly notice: string;
}

export const verbs = { l: 'logs', e: 'exec', c: 'console', s: 'status', r: 'restart' } as const;
export type Verb = (typeof verbs)[keyof typeof verbs];

export type Action =
  | { readonly kind: 'Quit' }
  | { readonly kind: 'Run'; readonly verb: Verb; readonly row: MachineRow };

export const firstState: State = {
  view: 'VMs',
  filter: '',
  mode: 'Look',
  chosen: { VMs: '', hosts: '', sets: '' },
  notice: '',
};

export type Row = MachineRow | HostRow | SetRow;

export function keyOf(row: Row): string {
  return 'namespace' in row ? `${row.namespace}/${row.name}` : row.name;
}

/** The rows of the view, in their order. */
export function rowsOf({ filter, view }: State, fleet: Fleet): readonly Row[] {
  const rows = { VMs: fleet.machines, hosts: fleet.hosts, sets: fleet.sets } as const;
  return ordered<Row>(rows[view], filter);
}

/** The chosen row's place; the first one if it is no longer there. */
export function chosenIndex({ chosen, view }: State, rows: readonly Row[]): number {
  return Math.max(
    0,
    rows.findIndex((row) => keyOf(row) === chosen[view]),
  );
}

export interface Pressed {
  readonly state: State;
  readonly action?: Action;
}

/** `height`: how many rows the screen shows at once. */
export function press(state: State, key: Key, fleet: Fleet, height: number): Pressed {
  if (key.kind === 'Named' && key.name === 'Interrupt') return { state, action: { kind: 'Quit' } };
  const quiet = { ...state, notice: '' };
  if (state.mode === 'Filter') return { state: typed(quiet, key) };
  if (state.mode === 'Restart') return answered(quiet, key, fleet);
  return key.kind === 'Named' ? moved(quiet, key.name, fleet, height) : lettered(quiet, key.text, fleet);
}

function typed(state: State, key: Key): State {
  if (key.kind === 'Text') return { ...state, filter: state.filter + key.text };
  switch (key.name) {
    case 'Backspace':
      return { ...state, filter: [...state.filter].slice(0, -1).join('') };
    case 'Escape':
      return { ...state, filter: '', mode: 'Look' };
    case 'Enter':
      return { ...state, mode: 'Look' };
    default:
      return state;
  }
}

function answered(state: State, key: Key, fleet: Fleet): Pressed {
  const looking: State = { ...state, mode: 'Look' };
  const row = chosenMachine(state, fleet);
  const isYes = key.kind === 'Text' && key.text.toLowerCase() === 'y';
  return isYes && row !== undefined
    ? { state: looking, action: { kind: 'Run', verb: 'restart', row } }
    : { state: looking };
}

function lettered(state: State, letter: string, fleet: Fleet): Pressed {
  if (letter === 'q') return { state, action: { kind: 'Quit' } };
  if (letter === '/') return { state: { ...state, mode: 'Filter' } };
  if (letter === 'j' || letter === 'k') return moved(state, letter === 'j' ? 'Down' : 'Up', fleet, 1);
  const view = views[Number(letter) - 1];
  if (view !== undefined) return { state: { ...state, view } };
  const verb = Object.entries(verbs).find(([each]) => each === letter)?.[1];
  return verb === undefined ? { state } : begun(state, verb, fleet);
}

function begun(state: State, verb: Verb, fleet: Fleet): Pressed {
  const row = chosenMachine(state, fleet);
  if (row === undefined) return { state: { ...state, notice: `${verb} needs a VM: 1 shows the VMs` } };
  if (verb === 'restart') return { state: { ...state, mode: 'Restart' } };
  return { state, action: { kind: 'Run', verb, row } };
}

function chosenMachine(state: State, fleet: Fleet): MachineRow | undefined {
  const rows = rowsOf(state, fleet);
  const row = rows[chosenIndex(state, rows)];
  return row !== undefined && 'phase' in row ? row : undefined;
}

type Steps = Readonly<Partial<Record<KeyName, number>>>;

/** To another view. */
const turns: Steps = { Tab: 1, Right: 1, BackTab: -1, Left: -1 };

/** To another row. */
function stepsOf(height: number, at: number, count: number): Steps {
  return { Up: -1, Down: 1, PageUp: -height, PageDown: height, Home: -at, End: count };
}

function moved(state: State, name: KeyName, fleet: Fleet, height: number): Pressed {
  const turn = turns[name];
  if (turn !== undefined) {
    const next = (views.indexOf(state.view) + turn + views.length) % views.length;
    return { state: { ...state, view: views[next] ?? 'VMs' } };
  }
  if (name === 'Escape') return { state: { ...state, filter: '' } };
  const rows = rowsOf(state, fleet);
  const at = chosenIndex(state, rows);
  if (name === 'Enter') return entered(state, rows[at]);
  const place = at + (stepsOf(height, at, rows.length)[name] ?? 0);
  const row = rows[Math.max(0, Math.min(rows.length - 1, place))];
  return { state: row === undefined ? state : { ...state, chosen: { ...state.chosen, [state.view]: keyOf(row) } } };
}

/** Of a host or a set, its VMs are shown. */
function entered(state: State, row: Row | undefined): Pressed {
  if (row === undefined) return { state };
  if ('phase' in row) return { state, action: { kind: 'Run', verb: 'status', row } };
  return { state: { ...state, view: 'VMs', filter: row.name } };
}
