// All rows together, in the order in which they are shown: what is wrong comes first.
import type { Knowledge } from './collection.ts';
import type { Health, HostRow, MachineRow, SetRow } from './rows.ts';

export interface Fleet {
  readonly machines: readonly MachineRow[];
  readonly hosts: readonly HostRow[];
  readonly sets: readonly SetRow[];
  /** What is known about each kind. */
  readonly knowledge: Readonly<Record<View, Knowledge>>;
}

export const views = ['VMs', 'hosts', 'sets'] as const;
export type View = (typeof views)[number];

const order: Readonly<Record<Health, number>> = { Wrong: 0, Unknown: 1, Moving: 2, Good: 3, Resting: 3 };

interface Named {
  readonly namespace?: string;
  readonly name: string;
  readonly health: Health;
  readonly why: string;
  readonly node?: string | undefined;
  readonly phase?: string;
}

/** `filter`: a part of the name, the namespace, the host, the phase or the reason. */
export function ordered<Row extends Named>(rows: Iterable<Row>, filter: string): readonly Row[] {
  const wanted = filter.toLowerCase();
  const found = [...rows].filter((row) => wanted === '' || wordsOf(row).includes(wanted));
  return found.sort((one, other) => order[one.health] - order[other.health] || byName(one, other));
}

function wordsOf({ name, namespace = '', node = '', phase = '', why }: Named): string {
  return `${namespace}/${name} ${node} ${phase} ${why}`.toLowerCase();
}

function byName(one: Named, other: Named): number {
  return (one.namespace ?? '').localeCompare(other.namespace ?? '') || natural.compare(one.name, other.name);
}

/** `vm-2` comes before `vm-10`. */
const natural = new Intl.Collator('en', { numeric: true });

/** `1 wrong, 20 running`. Only what there is. */
export function countsOf(machines: Iterable<MachineRow>): string {
  const counts = new Map<string, number>();
  for (const { health } of machines) {
    counts.set(words[health], (counts.get(words[health]) ?? 0) + 1);
  }
  const parts = Object.values(words).flatMap((word) => (counts.has(word) ? [`${counts.get(word)} ${word}`] : []));
  return parts.join(', ');
}

const words: Readonly<Record<Health, string>> = {
  Wrong: 'wrong',
  Unknown: 'unknown',
  Moving: 'changing',
  Good: 'running',
  Resting: 'at rest',
};
