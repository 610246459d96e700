// Text in the cells of a terminal: most characters take one, some two, some none.
import stringWidth from 'string-width';

export const widthOf = (text: string): number => stringWidth(text);

/** The text, or its beginning and `~`. */
export function shortened(text: string, width: number): string {
  return widthOf(text) <= width ? text : `${beginningIn(text, width - 1)}~`;
}

export function padded(text: string, width: number): string {
  const shown = shortened(text, width);
  return shown + ' '.repeat(width - widthOf(shown));
}

/** At most so many lines, broken at spaces if possible. */
export function wrapped(text: string, width: number, lines: number): readonly string[] {
  const parts: string[] = [];
  let rest = text;
  while (rest !== '' && parts.length < lines) {
    const head = beginningIn(rest, width);
    if (head === '') break;
    const space = head.length < rest.length ? head.lastIndexOf(' ') : -1;
    const part = space > 0 ? head.slice(0, space) : head;
    parts.push(part);
    rest = rest.slice(part.length).trimStart();
  }
  return parts;
}

function beginningIn(text: string, width: number): string {
  let used = 0;
  let end = 0;
  for (const character of text) {
    used += widthOf(character);
    if (used > width) break;
    end += character.length;
  }
  return text.slice(0, end);
}
