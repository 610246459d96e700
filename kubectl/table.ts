// Columns for people, as kubectl prints them.
import { plainText } from '../runtime/plain-text.ts';

const gap = 3;

/** The lines of a table. The first row is the heading. */
export function tableLines(rows: readonly (readonly string[])[]): readonly string[] {
  const plain = rows.map((row) => row.map(plainText));
  const widths = (plain[0] ?? []).map((_, column) => Math.max(...plain.map((row) => row[column]?.length ?? 0)));
  return plain.map((row) =>
    row
      .map((cell, column) => cell.padEnd((widths[column] ?? 0) + gap))
      .join('')
      .trimEnd(),
  );
}
