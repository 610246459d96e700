// The table that `npm start` shows: one line for each VM and each host.
import type { Host, Machine } from './cluster-view.ts';
import { lastLogLine, readyCondition } from './expectation.ts';

const gap = '  ';

export interface TableContents {
  readonly machines: Iterable<Machine>;
  readonly hosts: Iterable<Host>;
  /** The latest line of a guest, if a newer one than in its status is known. */
  readonly latestLine: (vm: string) => string | undefined;
}

export function renderTables(contents: TableContents, now: number, width: number): string {
  const machines = [...contents.machines].sort(byName);
  const machineRows = machines.map((machine) => machineRow(machine, contents.latestLine, now));
  const hostRows = [...contents.hosts].sort(byName).map((host) => hostRow(host, machines, now));
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

/** Counts the VMs in the table above: the numbers in the status of a host come some seconds later. */
function hostRow({ metadata, status }: Host, machines: readonly Machine[], now: number): string[] {
  const ofHost = machines.filter((machine) => machine.status?.nodeName === metadata.name);
  const running = ofHost.filter((machine) => machine.status?.phase === 'Running');
  return [
    metadata.name,
    status?.conditions?.find(({ type }) => type === 'Connected')?.status ?? '',
    String(status?.osBuild ?? ''),
    String(status?.logicalProcessors ?? ''),
    status?.memoryInMB === undefined ? '' : `${status.memoryInMB} MB`,
    `${running.length}/${ofHost.length}`,
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
