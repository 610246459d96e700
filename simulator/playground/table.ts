// The table that `npm start` shows: VMs and hosts, a line each.
import type { Host, Machine } from './cluster-view.ts';
import { lastLogLine, readyCondition } from './expectation.ts';

const gap = '  ';

export interface TableContents {
  readonly machines: Iterable<Machine>;
  readonly hosts: Iterable<Host>;
  /** The latest line of a guest, where it is known better than from its status. */
  readonly latestLine: (vm: string) => string | undefined;
}

export function renderTables({ machines, hosts, latestLine }: TableContents, now: number, width: number): string {
  const machineRows = [...machines].sort(byName).map((machine) => machineRow(machine, latestLine, now));
  const hostRows = [...hosts].sort(byName).map((host) => hostRow(host, now));
  return [
    ...renderTable(['VM', 'PHASE', 'READY', 'NODE', 'RESTARTS', 'AGE', 'LAST LOG LINE OR REASON'], machineRows, width),
    '',
    ...renderTable(['HOST', 'CONNECTED', 'BUILD', 'CPUS', 'MEMORY', 'RUNNING', 'AGE'], hostRows, width),
  ].join('\n');
}

function machineRow(machine: Machine, latestLine: TableContents['latestLine'], now: number): string[] {
  const { metadata, status } = machine;
  const name = `${metadata.namespace}/${metadata.name}`;
  const ready = readyCondition(machine);
  const text =
    status?.phase === 'Running'
      ? (latestLine(name) ?? lastLogLine(machine))
      : `${ready?.reason ?? ''}: ${ready?.message ?? ''}`;
  return [
    name,
    status?.phase ?? 'Pending',
    ready?.status ?? '',
    status?.nodeName ?? '',
    String(status?.restarts ?? 0),
    age(metadata.creationTimestamp, now),
    text,
  ];
}

function hostRow({ metadata, status }: Host, now: number): string[] {
  const { desired = 0, running = 0 } = status?.virtualMachines ?? {};
  return [
    metadata.name,
    status?.conditions?.find(({ type }) => type === 'Connected')?.status ?? '',
    String(status?.osBuild ?? ''),
    String(status?.logicalProcessors ?? ''),
    status?.memoryInMB === undefined ? '' : `${status.memoryInMB} MB`,
    `${running}/${desired}`,
    age(metadata.creationTimestamp, now),
  ];
}

function renderTable(header: readonly string[], rows: readonly (readonly string[])[], width: number): string[] {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join(gap)
      .trimEnd()
      .slice(0, width),
  );
}

function byName(a: Machine | Host, b: Machine | Host): number {
  return a.metadata.name < b.metadata.name ? -1 : 1;
}

function age(creationTimestamp: string, now: number): string {
  const seconds = Math.max(0, Math.round((now - Date.parse(creationTimestamp)) / 1000));
  return seconds < 120 ? `${seconds}s` : `${Math.floor(seconds / 60)}m`;
}
