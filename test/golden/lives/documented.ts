// The rows of "Where this agent does otherwise" in docs/reference/hcs-runtime.md, by their points. A difference that has no
// row, or one that does not say why, is not documented.
import { readFileSync } from 'node:fs';

const reference = new URL('../../../docs/reference/hcs-runtime.md', import.meta.url);
const heading = '## I. Where this agent does otherwise';
/** A reason is a sentence. */
const reasonChars = 20;

/** Why, by point. Throws when the section is not there. */
export function documentedPoints(): ReadonlyMap<string, string> {
  const text = readFileSync(reference, 'utf8');
  const begin = text.indexOf(heading);
  if (begin < 0) throw new Error(`${reference.pathname} has no section "${heading}"`);
  const rows = text
    .slice(begin)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()));
  return new Map(
    rows
      .map((cells) => [cells[1]?.replaceAll('`', '') ?? '', cells[4] ?? ''] as const)
      .filter(([, reason]) => reason.length >= reasonChars),
  );
}
