// JSON with every integer exact: what a double cannot hold becomes a bigint.

declare global {
  interface JSON {
    /** The third argument is in the language since ES2026; the type library does not have it yet. */
    parse(
      text: string,
      reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
    ): unknown;
  }
}

export function parseExact(text: string): unknown {
  return JSON.parse(text, (_key: string, value: unknown, context: { readonly source?: string }) => {
    const inexact = typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context.source ?? '');
    return inexact ? BigInt(context.source ?? '') : value;
  });
}

/** For messages and result files. */
export function printExact(value: unknown): string {
  const text = JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'bigint' ? JSON.rawJSON(member.toString()) : member,
  );
  return text ?? 'absent';
}

/** The raw text of the object that starts at `start`. */
export function objectTextAt(text: string, start: number): string {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '"') {
      at = closingQuote(text, at);
    } else if (character === '{') {
      depth++;
    } else if (character === '}' && --depth === 0) {
      return text.slice(start, at + 1);
    }
  }
  throw new Error(`no whole JSON object at offset ${start}`);
}

function closingQuote(text: string, opening: number): number {
  let at = opening + 1;
  while (at < text.length && text.charAt(at) !== '"') {
    at += text.charAt(at) === '\\' ? 2 : 1;
  }
  return at;
}
