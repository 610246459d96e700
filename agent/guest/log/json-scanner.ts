// Finds the end of one JSON value in a stream of bytes, however the stream is split into chunks. A guest chooses every
// byte, so each byte costs one table look-up, whatever it is. The grammar is RFC 8259, and the limit of nesting is that
// of the guest's log decoder (hcs-runtime D.4).

/**
 * `endAfter`: the byte at the index is the last one of a list or an object. `endBefore`: the value is a scalar and
 * ended before the byte at the index. `error`: the byte cannot be part of JSON.
 */
export type ScanStep = 'more' | 'endAfter' | 'endBefore' | 'error';

/** The depth at which the guest's own decoder gives up. */
export const nestingLimit = 10_000;

export function isWhiteSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** The state between two bytes: what has been read, or what may follow. */
const states = [
  ...['value', 'firstElement', 'firstKey', 'key', 'colon', 'afterValue'],
  ...['text', 'escape', 'hex1', 'hex2', 'hex3', 'hex4'],
  ...['minus', 'zero', 'integer', 'point', 'fraction', 'exponent', 'exponentSign', 'exponentDigits'],
  ...['t', 'tr', 'tru', 'f', 'fa', 'fal', 'fals', 'n', 'nu', 'nul', 'ended'],
] as const;
type State = (typeof states)[number];

/** Steps that do more than change the state. */
const actions = [
  ...['refuse', 'openObject', 'openList', 'closeObject', 'closeList', 'next'],
  ...['beginKey', 'endText', 'endLiteral', 'endNumber', 'endBefore'],
] as const;
type Action = (typeof actions)[number];

type Row = readonly (readonly [bytes: string, to: State | Action])[];

const space = ' \t\n\r';
const digit = '0123456789';
const any = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join('');
/** All bytes but control characters. */
const plain = any.slice(0x20);

const value: Row = [
  [space, 'value'],
  ['{', 'openObject'],
  ['[', 'openList'],
  ['"', 'text'],
  ['-', 'minus'],
  ['0', 'zero'],
  ['123456789', 'integer'],
  ['t', 't'],
  ['f', 'f'],
  ['n', 'n'],
];
const hex = (to: State): Row => [[`${digit}abcdefABCDEF`, to]];
const exponent = ['eE', 'exponent'] as const;

/** A later entry of a row replaces an earlier one. A byte without an entry is refused. */
const grammar: Readonly<Record<State, Row>> = {
  value,
  firstElement: [...value, [space, 'firstElement'], [']', 'closeList']],
  firstKey: [
    [space, 'firstKey'],
    ['"', 'beginKey'],
    ['}', 'closeObject'],
  ],
  key: [
    [space, 'key'],
    ['"', 'beginKey'],
  ],
  colon: [
    [space, 'colon'],
    [':', 'value'],
  ],
  afterValue: [
    [space, 'afterValue'],
    [',', 'next'],
    ['}', 'closeObject'],
    [']', 'closeList'],
  ],
  text: [
    [plain, 'text'],
    ['"', 'endText'],
    ['\\', 'escape'],
  ],
  escape: [
    ['"\\/bfnrt', 'text'],
    ['u', 'hex1'],
  ],
  hex1: hex('hex2'),
  hex2: hex('hex3'),
  hex3: hex('hex4'),
  hex4: hex('text'),
  minus: [
    ['0', 'zero'],
    ['123456789', 'integer'],
  ],
  zero: [[any, 'endNumber'], ['.', 'point'], exponent],
  integer: [[any, 'endNumber'], [digit, 'integer'], ['.', 'point'], exponent],
  point: [[digit, 'fraction']],
  fraction: [[any, 'endNumber'], [digit, 'fraction'], exponent],
  exponent: [
    ['+-', 'exponentSign'],
    [digit, 'exponentDigits'],
  ],
  exponentSign: [[digit, 'exponentDigits']],
  exponentDigits: [
    [any, 'endNumber'],
    [digit, 'exponentDigits'],
  ],
  t: [['r', 'tr']],
  tr: [['u', 'tru']],
  tru: [['e', 'endLiteral']],
  f: [['a', 'fa']],
  fa: [['l', 'fal']],
  fal: [['s', 'fals']],
  fals: [['e', 'endLiteral']],
  n: [['u', 'nu']],
  nu: [['l', 'nul']],
  nul: [['l', 'endLiteral']],
  // The guest's decoder sees the end of any scalar only in the byte after it, as for a number.
  ended: [[any, 'endBefore']],
};

const numberOf = Object.fromEntries([...states, ...actions].map((name, index) => [name, index])) as Readonly<
  Record<State | Action, number>
>;
const firstAction = states.length;
const table = makeTable();

function makeTable(): Uint8Array {
  const made = new Uint8Array(states.length << 8).fill(numberOf.refuse);
  for (const state of states) {
    for (const [bytes, to] of grammar[state]) {
      for (const byte of bytes) made[(numberOf[state] << 8) | byte.charCodeAt(0)] = numberOf[to];
    }
  }
  return made;
}

/** Scans one value. The caller passes every byte from the value's first one on, until the answer is not `more`. */
export class JsonScanner {
  /** The index that the last answer refers to. */
  index = 0;
  /** The open containers, outermost first: true for an object. */
  readonly #open: boolean[] = [];
  #state = numberOf.value;
  #isKey = false;

  /** Prepares for the next value. */
  begin(): void {
    this.#open.length = 0;
    this.#state = numberOf.value;
    this.#isKey = false;
  }

  /** Scans the bytes from `from` up to, but not including, `to`, or until the value ends. */
  scan(bytes: Uint8Array, from: number, to: number): ScanStep {
    let state = this.#state;
    for (let index = from; index < to; index += 1) {
      const next = table[(state << 8) | (bytes[index] ?? 0)] ?? 0;
      if (next < firstAction) {
        state = next;
        continue;
      }
      this.#state = state;
      const step = this.#act(actions[next - firstAction] ?? 'refuse', bytes[index] ?? 0);
      if (step !== 'more') {
        this.index = index;
        return step;
      }
      state = this.#state;
    }
    this.#state = state;
    this.index = to;
    return 'more';
  }

  #act(action: Action, byte: number): ScanStep {
    switch (action) {
      case 'refuse':
        return 'error';
      case 'openObject':
        return this.#enter(true);
      case 'openList':
        return this.#enter(false);
      case 'closeObject':
        return this.#leave(true);
      case 'closeList':
        return this.#leave(false);
      case 'next':
        return this.#go(this.#open.at(-1) === true ? 'key' : 'value');
      case 'beginKey':
        this.#isKey = true;
        return this.#go('text');
      case 'endText':
        return this.#textDone();
      case 'endLiteral':
        return this.#scalarDone();
      case 'endNumber':
        return this.#numberDone(byte);
      case 'endBefore':
        return 'endBefore';
    }
  }

  #go(state: State): ScanStep {
    this.#state = numberOf[state];
    return 'more';
  }

  #enter(isObject: boolean): ScanStep {
    if (this.#open.length >= nestingLimit) return 'error';
    this.#open.push(isObject);
    return this.#go(isObject ? 'firstKey' : 'firstElement');
  }

  #leave(isObject: boolean): ScanStep {
    if (this.#open.at(-1) !== isObject) return 'error';
    this.#open.pop();
    return this.#open.length === 0 ? 'endAfter' : this.#go('afterValue');
  }

  #textDone(): ScanStep {
    if (!this.#isKey) return this.#scalarDone();
    this.#isKey = false;
    return this.#go('colon');
  }

  #scalarDone(): ScanStep {
    return this.#go(this.#open.length === 0 ? 'ended' : 'afterValue');
  }

  /** A number ends only with the byte after it, which belongs to what follows. */
  #numberDone(byte: number): ScanStep {
    if (this.#open.length === 0) return 'endBefore';
    const next = table[(numberOf.afterValue << 8) | byte] ?? 0;
    this.#state = next;
    return next < firstAction ? 'more' : this.#act(actions[next - firstAction] ?? 'refuse', byte);
  }
}
