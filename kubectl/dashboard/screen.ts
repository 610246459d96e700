// The screen as lines of text, never more or longer than the terminal has room for. All that a line says is in its
// characters; its style only helps the eye.
import { plainText } from '../../runtime/plain-text.ts';
import { ageOf } from '../age.ts';
import { padded, shortened, widthOf, wrapped } from './cells.ts';
import { countsOf, type Fleet, type View, views } from './fleet.ts';
import type { Health, HostRow, MachineRow, SetRow } from './rows.ts';
import { chosenIndex, type Row, rowsOf, type State } from './state.ts';

export interface Size {
  readonly height: number;
  readonly width: number;
}

export interface Line {
  readonly text: string;
  readonly style: 'plain' | 'heading' | 'chosen' | 'wrong';
}

export interface Scene {
  readonly state: State;
  readonly fleet: Fleet;
  /** Where VMs and sets are from, such as `namespace default`. */
  readonly scope: string;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}

export const smallest: Size = { height: 10, width: 40 };
/** Two above the table, its heading, three for the chosen row, two below. */
const linesAround = 8;
const detailLines = 3;

/** How many rows a screen of this size shows. */
export function rowsIn({ height }: Size): number {
  return Math.max(1, height - linesAround);
}

export function linesOf(scene: Scene, size: Size): readonly Line[] {
  if (size.height < smallest.height || size.width < smallest.width) {
    return [line(shortened(`needs ${smallest.width}x${smallest.height}`, size.width))];
  }
  const { state, fleet } = scene;
  const rows = rowsOf(state, fleet);
  const at = chosenIndex(state, rows);
  const shown = rowsIn(size);
  const from = Math.max(0, Math.min(at - Math.floor(shown / 2), rows.length - shown));
  const visible = rows.slice(from, from + shown);
  const [heading, ...table] = tableOf(scene, visible, size.width);
  const body = visible.map((row, index): Line => {
    const isChosen = from + index === at;
    const text = shortened(`${isChosen ? '>' : ' '}${table[index] ?? ''}`, size.width);
    return { text, style: isChosen ? 'chosen' : row.health === 'Wrong' ? 'wrong' : 'plain' };
  });
  const filled = [...body, ...Array.from({ length: shown }, () => line(''))].slice(0, shown);
  const lines: readonly Line[] = [
    line(headline(scene)),
    line(tabs(state, fleet, rows.length)),
    { text: ` ${heading ?? ''}`, style: 'heading' },
    ...filled,
    ...detail(rows[at], scene, size.width),
    line(newest(scene)),
    line(keyHelp(state, size.width)),
  ];
  // Whatever a text comes from, it must not steer the terminal.
  return lines.map(({ style, text }) => ({ style, text: shortened(plainText(text), size.width) }));
}

function line(text: string): Line {
  return { text, style: 'plain' };
}

function headline({ fleet, scope }: Scene): string {
  return `lcow  ${scope}   ${countsOf(fleet.machines)}`;
}

/** Of hosts, also how many are connected. */
function sizeOf(view: View, { hosts, machines, sets }: Fleet): string {
  if (view === 'VMs') return String(machines.length);
  if (view === 'sets') return String(sets.length);
  const connected = hosts.filter(({ health }) => health !== 'Wrong' && health !== 'Unknown');
  return `${connected.length}/${hosts.length}`;
}

function tabs({ filter, mode, view }: State, fleet: Fleet, count: number): string {
  const names = views.map((each, index) => {
    const name = `${index + 1} ${each} ${sizeOf(each, fleet)}`;
    return each === view ? `[${name}]` : ` ${name} `;
  });
  const isShown = mode === 'Filter' || filter !== '';
  const filtered = isShown ? `   filter: ${filter}${mode === 'Filter' ? '_' : ''} (${count})` : '';
  return `${names.join(' ')}${filtered}`;
}

function whyEmpty({ fleet: { knowledge }, state: { filter, view } }: Scene): string {
  const known = knowledge[view];
  if (known.kind === 'Loading') return `reading ${view} ...`;
  if (known.kind === 'Stale') return `${view} cannot be read: ${known.why}`;
  return filter === '' ? `no ${view}` : `no ${view} with "${filter}"`;
}

/** What the user has to know now: the question, the last answer, or which rows are out of date. */
function newest({ fleet: { knowledge }, state }: Scene): string {
  if (state.mode === 'Restart') return `restart ${state.chosen.VMs || 'the chosen VM'}? y: yes, any other key: no`;
  if (state.notice !== '') return state.notice;
  const stale = views.flatMap((view) => {
    const known = knowledge[view];
    return known.kind === 'Stale' ? [`${view} are out of date: ${known.why}`] : [];
  });
  return stale.join('; ');
}

const help: Readonly<Record<State['mode'], string>> = {
  Look: 'up/down choose  tab view  enter open  l logs  e exec  c console  r restart  / filter  q quit',
  Filter: 'type a part of a name, host, phase or reason; enter: keep it, escape: none',
  Restart: 'y restarts the VM',
};
const shortHelp = 'l logs e exec c console r restart / filter q quit';

function keyHelp({ mode }: State, width: number): string {
  return help[mode].length > width && mode === 'Look' ? shortHelp : help[mode];
}

/** The name of the chosen row, and why it is as it is, in full as far as there is room. */
function detail(row: Row | undefined, scene: Scene, width: number): readonly Line[] {
  const name = row === undefined ? '' : 'namespace' in row ? `${row.namespace}/${row.name}` : row.name;
  const text = plainText(row === undefined ? whyEmpty(scene) : `${name}: ${row.why}`);
  const parts = wrapped(text, width, detailLines);
  return Array.from({ length: detailLines }, (_, index) => line(parts[index] ?? ''));
}

const marks: Readonly<Record<Health, string>> = { Good: ' ', Moving: '~', Resting: '-', Unknown: '?', Wrong: '!' };

function tableOf(scene: Scene, rows: readonly Row[], width: number): readonly string[] {
  const { fleet, now, state } = scene;
  const cells = [headings[state.view], ...rows.map((row) => cellsOf(row, fleet, now))];
  const last = (cells[0]?.length ?? 1) - 1;
  const widths = Array.from({ length: last }, (_, column) =>
    Math.min(widest, Math.max(...cells.map((row) => widthOf(row[column] ?? '')))),
  );
  return cells.map((row) =>
    row.map((cell, column) => (column === last ? cell : padded(cell, Math.min(widths[column] ?? 0, width)))).join('  '),
  );
}

/** A name of a VM may have 253 characters. */
const widest = 32;

const headings: Readonly<Record<View, readonly string[]>> = {
  VMs: [' ', 'NAME', 'PHASE', 'HOST', 'RESTARTS', 'AGE', 'WHY'],
  hosts: [' ', 'NAME', 'VMS', 'MEMORY', 'CPUS', 'BUILD', '. runs ~ changes - rests ! wrong ? unknown'],
  sets: [' ', 'NAME', 'READY', 'UPDATED', 'AVAILABLE', 'AGE', 'ROLLOUT'],
};

function cellsOf(row: Row, fleet: Fleet, now: number): readonly string[] {
  const cells = 'phase' in row ? machineCells(row, now) : 'desired' in row ? setCells(row, now) : hostCells(row, fleet);
  return [marks[row.health], ...cells.map(plainText)];
}

function machineCells({ created, name, node, phase, restarts, why }: MachineRow, now: number): readonly string[] {
  return [name, phase, node ?? '-', String(restarts), ageOf(created, now), why];
}

function setCells({ available, created, desired, name, ready, updated, why }: SetRow, now: number): readonly string[] {
  return [name, `${ready}/${desired}`, String(updated), String(available), ageOf(created, now), why];
}

function hostCells({ build, memoryInMB, name, processors }: HostRow, { machines }: Fleet): readonly string[] {
  const own = machines.filter(({ node }) => node === name);
  const memory = memoryInMB === undefined ? '-' : `${Math.round(memoryInMB / 1024)} GiB`;
  return [name, String(own.length), memory, String(processors ?? '-'), String(build ?? '-'), mapOf(own)];
}

/** One character for each VM, those that need attention first. */
function mapOf(machines: readonly MachineRow[]): string {
  const all = machines.map(({ health }) => (health === 'Good' ? '.' : marks[health]));
  return ['!', '?', '~', '.', '-'].map((mark) => mark.repeat(all.filter((each) => each === mark).length)).join('');
}
