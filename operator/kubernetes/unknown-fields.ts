// Finds fields of an object that its schema does not know. Parsing drops them, just as a structural schema prunes them.
// But if the API server has a newer CRD than this operator, such fields ask for something.

const most = 64;

/** Paths such as `confidential.newOption` or `storage.disks[0].new`, at most 64 of them. */
export function unknownFields(raw: unknown, parsed: unknown): readonly string[] {
  return [...unknownIn(raw, parsed, '')].slice(0, most);
}

function* unknownIn(raw: unknown, parsed: unknown, path: string): Generator<string> {
  if (Array.isArray(raw) && Array.isArray(parsed)) {
    for (const [index, item] of raw.entries()) yield* unknownIn(item, parsed[index], `${path}[${index}]`);
    return;
  }
  if (!isRecord(raw) || !isRecord(parsed)) return;
  for (const [name, value] of Object.entries(raw)) {
    const field = path === '' ? name : `${path}.${name}`;
    if (Object.hasOwn(parsed, name)) yield* unknownIn(value, parsed[name], field);
    else yield field;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
