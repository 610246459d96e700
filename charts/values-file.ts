// A values.yaml as a list of documented values. The comment above a key describes it; a line `@schema {…}` in that
// comment adds JSON Schema keywords to those that the default implies.
import { isMap, isScalar, type Pair, parse, parseDocument, YAMLMap } from 'yaml';

export interface Value {
  readonly name: string;
  readonly description: string;
  /** JSON Schema keywords from the comment. */
  readonly keywords: Readonly<Record<string, unknown>>;
  readonly default: unknown;
  /** The members of a map that only groups values. */
  readonly members: readonly Value[];
}

/** Throws if a value has no comment; the error names the key. */
export function readValues(text: string): readonly Value[] {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) throw error;
  if (!isMap(document.contents)) throw new Error('values are a map');
  return membersOf(document.contents, '');
}

function membersOf(map: YAMLMap, path: string): readonly Value[] {
  return map.items.map((pair, index) => {
    // The YAML parser attaches the comment above the first key of a map to the map.
    const comment = commentOf(pair) ?? (index === 0 && path !== '' ? map.commentBefore : undefined) ?? '';
    return readValue(pair, comment, path);
  });
}

function readValue({ key, value }: Pair, comment: string, parent: string): Value {
  const name = isScalar(key) ? String(key.value) : String(key);
  const path = parent === '' ? name : `${parent}.${name}`;
  const { description, keywords } = readComment(comment, path);
  // A map with a comment is one value. A map without a comment groups other values.
  const isGroup = isMap(value) && description === '';
  if (!isGroup && description === '') throw new Error(`${path} is not described`);
  return {
    name,
    description,
    keywords,
    default: isGroup ? undefined : plain(value),
    members: isGroup && value instanceof YAMLMap ? membersOf(value, path) : [],
  };
}

function commentOf({ key }: Pair): string | undefined {
  if (!isScalar(key) || key.commentBefore == null) return undefined;
  return key.commentBefore;
}

function readComment(comment: string, path: string): Pick<Value, 'description' | 'keywords'> {
  // A blank line separates the comment of this key from text above it, such as the head of the file.
  const lines = (comment.split(/\n\s*\n/).at(-1) ?? '').split('\n').map((line) => line.replace(/^ /, ''));
  const schema = lines.filter((line) => line.startsWith('@schema ')).map((line) => line.slice('@schema '.length));
  const prose = lines.filter((line) => !line.startsWith('@schema '));
  return { description: prose.join(' ').trim(), keywords: schema.length === 0 ? {} : keywordsOf(schema, path) };
}

function keywordsOf(lines: readonly string[], path: string): Record<string, unknown> {
  const parsed: unknown = parse(lines.join('\n'));
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new Error(`@schema of ${path} is not a map`);
  }
  return { ...parsed };
}

function plain(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || !('toJSON' in value) || typeof value.toJSON !== 'function') {
    return null;
  }
  return value.toJSON();
}
