// The document as the original serialiser writes it (docs/reference/hcs-documents.md §0.3): members in declaration order, map keys
// sorted by bytes, no whitespace, five characters escaped beyond what JSON asks for.
import type { ComputeSystem } from './schema.ts';
import { type ServiceTable, serviceTableMark } from './service-table.ts';

const markedTable = `"ServiceTable":${serviceTableMark.rawJSON}`;

const htmlEscapes: Readonly<Record<string, string>> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
};
const htmlUnsafe = /[<>&\u2028\u2029]/g;

export function documentText(document: ComputeSystem): string {
  const text = JSON.stringify(document);
  const table = document.VirtualMachine.Devices.HvSocket.HvSocketConfig.ServiceTable;
  const whole = table === undefined ? text : insertServiceTable(text, table);
  return whole.replace(htmlUnsafe, (character) => htmlEscapes[character] ?? character);
}

/** The mark cannot stand inside a string: there its quotes would be escaped. */
function insertServiceTable(text: string, table: ServiceTable): string {
  const at = text.indexOf(markedTable);
  return `${text.slice(0, at)}"ServiceTable":${serviceTableText(table)}${text.slice(at + markedTable.length)}`;
}

function serviceTableText(table: ServiceTable): string {
  const entries = [...table].sort(([a], [b]) => compareBytes(a, b));
  return `{${entries.map(([key, service]) => `${JSON.stringify(key)}:${JSON.stringify(service)}`).join(',')}}`;
}

/** Order of the UTF-8 bytes. It is that of UTF-16 units, but for surrogates, which stand for the highest characters. */
export function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const difference = byteRank(a.charCodeAt(index)) - byteRank(b.charCodeAt(index));
    if (difference !== 0) {
      return difference;
    }
  }
  return a.length - b.length;
}

function byteRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x1_0000 : unit;
}
