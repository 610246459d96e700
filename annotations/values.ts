// How hcsshim parses the values of annotations (docs/reference/hcs-documents.md §9.1). Undefined: it cannot parse the
// value.

const trueTexts: ReadonlySet<string> = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);
const falseTexts: ReadonlySet<string> = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False']);

export function parseBool(text: string): boolean | undefined {
  if (trueTexts.has(text)) return true;
  return falseTexts.has(text) ? false : undefined;
}

const maxUint16 = 0xffffn;
const maxUint32 = 0xffff_ffffn;
const maxUint64 = 0xffff_ffff_ffff_ffffn;

/** Only the signed type takes a sign. */
export function parseInt32(text: string): number | undefined {
  const value = parseDecimal(text.replace(/^[+-]/, ''));
  if (value === undefined) return undefined;
  const signed = text.startsWith('-') ? -value : value;
  return signed >= -0x8000_0000n && signed <= 0x7fff_ffffn ? Number(signed) : undefined;
}

export function parseUint16(text: string): number | undefined {
  return asNumber(parseUpTo(maxUint16, text));
}

export function parseUint32(text: string): number | undefined {
  return asNumber(parseUpTo(maxUint32, text));
}

export function parseUint64(text: string): bigint | undefined {
  return parseUpTo(maxUint64, text);
}

/** One unparsable entry makes the whole list unparsable. */
export function parseList<T>(text: string, parse: (entry: string) => T | undefined): readonly T[] | undefined {
  const entries = text.split(',').flatMap((entry) => parse(entry) ?? []);
  return entries.length === text.split(',').length ? entries : undefined;
}

function asNumber(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}

function parseUpTo(largest: bigint, text: string): bigint | undefined {
  const value = parseDecimal(text);
  return value !== undefined && value <= largest ? value : undefined;
}

/** More significant digits than the largest number of 64 bits has are out of range, whatever they are. */
const mostDigits = 20;

function parseDecimal(text: string): bigint | undefined {
  if (!/^[0-9]+$/.test(text)) return undefined;
  const digits = text.replace(/^0+/, '');
  return digits.length > mostDigits ? undefined : BigInt(digits);
}
