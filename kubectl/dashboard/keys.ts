// What a user types, as it arrives from a terminal in raw mode: one chunk may have several keys.

export type Key = { readonly kind: 'Text'; readonly text: string } | { readonly kind: 'Named'; readonly name: KeyName };

export type KeyName =
  | 'Up'
  | 'Down'
  | 'PageUp'
  | 'PageDown'
  | 'Home'
  | 'End'
  | 'Left'
  | 'Right'
  | 'Enter'
  | 'Tab'
  | 'BackTab'
  | 'Backspace'
  | 'Escape'
  | 'Interrupt';

/** ECMA-48, and what VT220 and xterm send. */
const sequences: Readonly<Record<string, KeyName>> = {
  '\x1b[A': 'Up',
  '\x1bOA': 'Up',
  '\x1b[B': 'Down',
  '\x1bOB': 'Down',
  '\x1b[C': 'Right',
  '\x1bOC': 'Right',
  '\x1b[D': 'Left',
  '\x1bOD': 'Left',
  '\x1b[5~': 'PageUp',
  '\x1b[6~': 'PageDown',
  '\x1b[H': 'Home',
  '\x1bOH': 'Home',
  '\x1b[1~': 'Home',
  '\x1b[F': 'End',
  '\x1bOF': 'End',
  '\x1b[4~': 'End',
  '\x1b[Z': 'BackTab',
  '\r': 'Enter',
  '\n': 'Enter',
  '\t': 'Tab',
  '\x7f': 'Backspace',
  '\b': 'Backspace',
  '\x03': 'Interrupt',
  '\x1b': 'Escape',
};

const escapeCharacter = '\x1b';
/** What follows an escape: a control sequence, or a key of the application keypad. */
const afterEscape = /^(?:\[[ -?]*[@-~]|O.)/su;

/** A sequence that has no meaning here is left out. */
export function keysOf(input: string): readonly Key[] {
  const keys: Key[] = [];
  for (let rest = input; rest !== ''; ) {
    const typed = firstOf(rest);
    const name = sequences[typed];
    if (name !== undefined) keys.push({ kind: 'Named', name });
    else if (typed >= ' ') keys.push({ kind: 'Text', text: typed });
    rest = rest.slice(typed.length);
  }
  return keys;
}

function firstOf(input: string): string {
  const [first = ''] = input;
  return first === escapeCharacter ? `${escapeCharacter}${afterEscape.exec(input.slice(1))?.[0] ?? ''}` : first;
}
