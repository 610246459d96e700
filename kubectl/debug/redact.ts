// Leaves secrets out of what is handed to others: policies, environments, tokens, passwords, keys. What could be one is
// left out, too. The names of fields stay, so that a reader sees that there was something.

export const leftOut = '[left out]';

const secretName = /polic|environment|^env$|token|passw|secret|credential|private|authorization/i;
/** Names that contain such a word, and whose values say nothing. */
const harmlessName = /digest$|^(?:enable|allow)|name$/i;
const ownAnnotation = /^lcow\.dev\//;

/** A copy of a value that JSON can express. */
export function redacted(value: unknown): unknown {
  if (typeof value === 'string') return redactedText(value);
  if (Array.isArray(value)) return value.map(redacted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, redactedMember(name, member)]));
}

function redactedMember(name: string, value: unknown): unknown {
  if (name === 'managedFields') return undefined;
  if (name === 'annotations') return redactedAnnotations(value);
  const isSecret = secretName.test(name) && !harmlessName.test(name);
  // A reference, such as `securityPolicyFrom`, names where the secret is.
  if (!isSecret || typeof value === 'boolean' || typeof value === 'number' || /From$/.test(name))
    return redacted(value);
  return leftOut;
}

/** Other programs keep whole manifests in annotations. */
function redactedAnnotations(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return redacted(value);
  return Object.fromEntries(
    Object.entries(value).map(([name, text]) => [name, ownAnnotation.test(name) ? redacted(text) : leftOut]),
  );
}

/** Up to the sign behind a telling name, such as `"env":`, `AWS_SECRET_KEY=` or `Authorization:`. */
const namedSecret =
  /(?:env|polic|token|passw|secret|credential|private|authorization)[\w.-]{0,64}["'\\\]]{0,3}\s{0,2}[=:]/i;
const bearer = /\bbearer\s/i;
const keyBegins = /-----BEGIN [A-Z ]{0,32}PRIVATE KEY/;
const keyEnds = /-----END [A-Z ]{0,32}PRIVATE KEY/;

/** Lines of text. The rest of a line behind a telling name is left out. */
export function redactedText(text: string): string {
  let isInKey = false;
  const lines = text.split('\n').map((line) => {
    const begins = keyBegins.test(line);
    const isKey = isInKey || begins;
    isInKey = isKey && !keyEnds.test(line);
    return isKey ? leftOut : withoutTokens(withoutNamed(line));
  });
  return lines.join('\n');
}

function withoutNamed(line: string): string {
  const found = [namedSecret.exec(line), bearer.exec(line)].filter((match) => match !== null);
  const end = Math.min(...found.map((match) => match.index + match[0].length));
  return found.length === 0 || line.slice(end) === '' ? line : `${line.slice(0, end)}${leftOut}`;
}

/** JSON Web Tokens begin with `{"` in base64 and have three parts. */
function withoutTokens(line: string): string {
  if (!line.includes('eyJ')) return line;
  return line
    .split(/([^\w.-])/)
    .map((word) => (word.startsWith('eyJ') && word.split('.').length >= 3 ? leftOut : word))
    .join('');
}
