// JSON whose integers keep all digits: HCS documents contain unsigned 64-bit numbers (hcs-documents §0.1). An integer
// that a JavaScript number cannot hold exactly becomes a bigint.

const integer = /^-?\d+$/;

/** Throws a SyntaxError for text that is not JSON. */
export function parseExactJson(text: string): unknown {
  return JSON.parse(text, (_name: string, value: unknown, context?: { readonly source?: string }) => {
    if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
    const source = context?.source ?? '';
    return integer.test(source) ? BigInt(source) : value;
  });
}
