// The document as the original's serialiser writes it (docs/reference/hcs-documents.md §0.3): members in declaration
// order, map keys sorted by bytes, no whitespace, five more characters escaped than JSON requires.
import { compareBytes } from './byte-order.ts';
import type { ComputeSystem } from './schema.ts';
import type { ServiceTable } from './service-table.ts';

export function documentText(document: ComputeSystem): string {
  const text = JSON.stringify(document);
  const table = document.VirtualMachine.Devices.HvSocket?.HvSocketConfig.ServiceTable;
  return escapeMarkup(table === undefined ? text : withSortedTable(text, table));
}

const numeric = /^\d+$/;

/**
 * An object lists keys such as "7" before all others, and the service table's keys come from the manifest unchecked.
 * Such keys come first, so looking at the first key is enough. The first match in the text is the table: inside a
 * string its quotes would be escaped.
 */
function withSortedTable(text: string, table: ServiceTable): string {
  const entries = Object.entries(table);
  if (!numeric.test(entries[0]?.[0] ?? '')) {
    return text;
  }
  const sorted = entries
    .sort(([a], [b]) => compareBytes(a, b))
    .map(([key, service]) => `${JSON.stringify(key)}:${JSON.stringify(service)}`);
  return text.replace(`"ServiceTable":${JSON.stringify(table)}`, () => `"ServiceTable":{${sorted.join(',')}}`);
}

const markupEscapes: readonly (readonly [character: string, escaped: string])[] = [
  ['<', '\\u003c'],
  ['>', '\\u003e'],
  ['&', '\\u0026'],
  ['\u2028', '\\u2028'],
  ['\u2029', '\\u2029'],
];

/** Five searches for one character each are faster than one search for all five. */
export function escapeMarkup(text: string): string {
  let safe = text;
  for (const [character, escaped] of markupEscapes) {
    if (safe.includes(character)) {
      safe = safe.replaceAll(character, escaped);
    }
  }
  return safe;
}
