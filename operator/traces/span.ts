// A span is one piece of work with its beginning and its end. All spans are made after the fact, from what statuses say.

export interface Span {
  readonly name: string;
  /** Milliseconds since the Unix epoch, as is `end`, which is never earlier. */
  readonly start: number;
  readonly end: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly parts: readonly Span[];
}

/** The parts whose times are known, with what they belong to. Undefined when none is known. */
export function spanAround(name: string, attributes: Span['attributes'], parts: readonly Span[]): Span | undefined {
  if (parts.length === 0) return undefined;
  const start = Math.min(...parts.map((part) => part.start));
  const end = Math.max(...parts.map((part) => part.end));
  return { name, start, end, attributes, parts };
}

/** Undefined unless both times are known, and in this order: host and control plane have clocks of their own. */
export function partFrom(name: string, start: number, end: number): Span | undefined {
  return start <= end ? { name, start, end, attributes: {}, parts: [] } : undefined;
}
