/** A flag has an invalid pattern, so the agent does not start. The message says what to write instead. */
export class PatternError extends Error {
  override readonly name = 'PatternError';
}

export const namespacePlaceholder = '{namespace}';

/** Refuses braces that look like a placeholder but are none, such as `{Namespace}` or `{name}`. */
export function requireKnownPlaceholders(pattern: string): void {
  const unknown = pattern.match(/\{[A-Za-z]{1,63}\}/g)?.find((each) => each !== namespacePlaceholder);
  if (unknown !== undefined) {
    throw new PatternError(`${pattern}: ${unknown} is not a placeholder; the only one is ${namespacePlaceholder}`);
  }
}
