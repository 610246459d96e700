// The table of values in a chart's README.
import type { Value } from './values-file.ts';

export function valuesTable(values: readonly Value[]): string {
  const rows = [...leaves(values)].map(
    ({ path, value }) => `| \`${path}\` | ${code(value.default)} | ${escaped(value.description)} |`,
  );
  return ['| value | default | what it does |', '|---|---|---|', ...rows].join('\n');
}

interface Leaf {
  readonly path: string;
  readonly value: Value;
}

function* leaves(values: readonly Value[], parent = ''): Generator<Leaf> {
  for (const value of values) {
    const path = parent === '' ? value.name : `${parent}.${value.name}`;
    if (value.members.length === 0) yield { path, value };
    else yield* leaves(value.members, path);
  }
}

function code(value: unknown): string {
  return `\`${escaped(typeof value === 'string' && value !== '' ? value : JSON.stringify(value))}\``;
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|');
}
