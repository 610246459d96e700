// Numbers of the document that may exceed 2^53, and the rule for leaving members out (docs/reference/hcs-documents.md
// §0.1, §0.2).

/** A piece of JSON that JSON.stringify writes unchanged. */
export interface RawJson {
  readonly rawJSON: string;
}

declare global {
  interface JSON {
    /** Part of the language since ES2026; the type library does not have it yet. */
    rawJSON(text: string): RawJson;
  }
}

/** An exact 64-bit number: a plain number where a double is exact, else its decimal digits. */
export type Uint64 = number | RawJson;

const largestExact = BigInt(Number.MAX_SAFE_INTEGER);

export function uint64(value: bigint): Uint64 {
  return value <= largestExact ? Number(value) : JSON.rawJSON(value.toString());
}

/** int32 → uint64 with sign extension: −1 becomes 18446744073709551615. */
export function signExtended(value: number): Uint64 {
  return value < 0 ? uint64(BigInt.asUintN(64, BigInt(value))) : value;
}

/** The omission rule for plain values: false, 0 and "" are not written. */
export function unlessEmpty<T extends boolean | number | string>(value: T): T | undefined {
  return value || undefined;
}
