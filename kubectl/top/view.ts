// How `top` shows what it has measured: a table, which fills at most the terminal while it is watched, or JSON or YAML.
import { written } from '../output.ts';
import type { OutputFormat } from '../output-formats.ts';
import { tableLines } from '../table.ts';
import { type Terminal, writeTo } from '../terminal.ts';
import type { HostLoad, MachineLoad } from './machine-load.ts';
import type { TopOrder } from './order.ts';

export interface ViewOptions {
  readonly allNamespaces: boolean;
  readonly hosts: boolean;
  readonly order: TopOrder;
  readonly watch: boolean;
  readonly output?: OutputFormat | undefined;
}

type Load = MachineLoad | HostLoad;

/** Puts the cursor at the top and clears the rest of the terminal. */
const clear = '\u001b[H\u001b[J';

export async function show(loads: readonly Load[], options: ViewOptions, terminal: Terminal): Promise<void> {
  const rows = sorted(loads, options.order);
  const { output } = options;
  if (output === undefined) return await showTable(rows, options, terminal);
  const text =
    output === 'name'
      ? rows.map((row) => `${nameOf(row)}\n`).join('')
      : await written(output, { kind: 'List', apiVersion: 'v1', items: rows });
  await writeTo(terminal.output, text);
}

async function showTable(rows: readonly Load[], options: ViewOptions, terminal: Terminal): Promise<void> {
  const lines = tableLines([headingOf(options), ...rows.map((row) => cellsOf(row, options))]);
  const isScreen = options.watch && terminal.outputIsTerminal;
  const height = (isScreen ? terminal.size?.height : undefined) ?? lines.length + 1;
  await writeTo(terminal.output, `${isScreen ? clear : ''}${lines.slice(0, height - 1).join('\n')}\n`);
}

const nameOf = (row: Load) => ('name' in row ? row.name : row.node);

const figures = {
  cpu: ({ busyProcessors }: Load) => busyProcessors,
  memory: ({ usedMemoryInMB }: Load) => usedMemoryInMB,
  log: ({ logLinesPerSecond }: Load) => logLinesPerSecond,
} as const;

/** The largest figures first, the unknown last. */
function sorted(rows: readonly Load[], order: TopOrder): readonly Load[] {
  const figure = (row: Load) => (order === 'name' ? 0 : (figures[order](row) ?? -1));
  const fullName = (row: Load) => ('name' in row ? `${row.namespace}/${row.name}` : row.node);
  const byName = (one: Load, other: Load) => (fullName(one) < fullName(other) ? -1 : 1);
  return [...rows].sort((one, other) => figure(other) - figure(one) || byName(one, other));
}

function headingOf({ allNamespaces, hosts }: ViewOptions): readonly string[] {
  const use = ['CPU', 'OF', 'MEMORY(MB)', 'OF', 'LOG/S'];
  if (hosts) return ['HOST', 'CONNECTED', 'VMS', ...use];
  return [...(allNamespaces ? ['NAMESPACE'] : []), 'NAME', 'PHASE', 'NODE', ...use, 'RESTARTS'];
}

function cellsOf(row: Load, { allNamespaces }: ViewOptions): readonly string[] {
  const { busyProcessors, logLinesPerSecond, memoryInMB, processors, usedMemoryInMB } = row;
  const use = [
    cell(busyProcessors, 2),
    cell(processors),
    cell(usedMemoryInMB),
    cell(memoryInMB),
    cell(logLinesPerSecond, 1),
  ];
  if ('connected' in row) return [row.node, row.connected, String(row.machines), ...use];
  const { name, namespace, node = '', phase, restarts } = row;
  return [...(allNamespaces ? [namespace] : []), name, phase, node, ...use, String(restarts)];
}

function cell(value: number | undefined, digits = 0): string {
  return value === undefined ? '-' : value.toFixed(digits);
}
