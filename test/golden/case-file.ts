import { parseExact } from './exact-json.ts';

/** The cases of a file: a JSON array, or one case per line. */
export function casesIn(text: string): readonly unknown[] {
  const parsed = text.trimStart().startsWith('[')
    ? parseExact(text)
    : text
        .split('\n')
        .filter((line) => line.trim() !== '')
        .map(parseExact);
  return Array.isArray(parsed) ? parsed : [];
}
