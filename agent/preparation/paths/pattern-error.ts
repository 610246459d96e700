/** A pattern of a flag that the agent does not start with. The message says what to write instead. */
export class PatternError extends Error {
  override readonly name = 'PatternError';
}

export const namespacePlaceholder = '{namespace}';

/** Something in braces that was meant as a placeholder and is none, such as `{Namespace}` or `{name}`. */
export function requireKnownPlaceholders(pattern: string): void {
  const unknown = pattern.match(/\{[A-Za-z]{1,63}\}/g)?.find((each) => each !== namespacePlaceholder);
  if (unknown !== undefined) {
    throw new PatternError(`${pattern}: ${unknown} is no placeholder; the only one is ${namespacePlaceholder}`);
  }
}
