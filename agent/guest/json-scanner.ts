// Finds the end of one JSON value in a stream of bytes, a byte at a time, however the stream is cut into chunks.
// The grammar is RFC 8259 and the bound of nesting that of the guest's log decoder (hcs-runtime D.4).

export type ScanStep = 'more' | 'endAfter' | 'endBefore' | 'error';

/** The depth at which the guest's own decoder gives up. */
export const nestingLimit = 10_000;

const tab = 0x09;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const quote = 0x22;
const plus = 0x2b;
const comma = 0x2c;
const minus = 0x2d;
const point = 0x2e;
const zero = 0x30;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

const simpleEscapes = new Set([...'"\\/bfnrt'].map((character) => character.charCodeAt(0)));
const literals = new Map(['true', 'false', 'null'].map((word) => [word.charCodeAt(0), Buffer.from(word)]));

export function isWhiteSpace(byte: number): boolean {
  return byte === space || byte === lineFeed || byte === carriageReturn || byte === tab;
}

function isDigit(byte: number): boolean {
  return byte >= zero && byte <= 0x39;
}

function isHexDigit(byte: number): boolean {
  const lower = byte | 0x20;
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66);
}

type State = (byte: number) => ScanStep;

/** One value: give it every byte from the value's first one on, until it answers something else than `more`. */
export class JsonScanner {
  /** The containers that are open, outermost first: true for an object. */
  readonly #open: boolean[] = [];
  #state: State = (byte) => this.#value(byte);
  #literal: Buffer = Buffer.alloc(0);
  #position = 0;

  /**
   * `endAfter`: the byte is the last of the value, a list or an object; `endBefore`: the value, a scalar, ended with the
   * byte before; `error`: the byte cannot be part of JSON.
   */
  step(byte: number): ScanStep {
    return this.#state(byte);
  }

  #value(byte: number): ScanStep {
    if (isWhiteSpace(byte)) return 'more';
    if (byte === openBrace) return this.#enter(true);
    if (byte === openBracket) return this.#enter(false);
    if (byte === quote) return this.#go((next) => this.#string(next, () => this.#scalarDone()));
    if (byte === minus) return this.#go((next) => this.#numberStart(next));
    if (isDigit(byte)) return this.#numberStart(byte);
    const word = literals.get(byte);
    if (word === undefined) return 'error';
    this.#literal = word;
    this.#position = 1;
    return this.#go((next) => this.#literalRest(next));
  }

  #go(state: State): ScanStep {
    this.#state = state;
    return 'more';
  }

  #enter(isObject: boolean): ScanStep {
    if (this.#open.length >= nestingLimit) return 'error';
    this.#open.push(isObject);
    return this.#go(isObject ? (next) => this.#firstKey(next) : (next) => this.#firstElement(next));
  }

  #leave(): ScanStep {
    this.#open.pop();
    return this.#valueDone();
  }

  #valueDone(): ScanStep {
    if (this.#open.length === 0) return 'endAfter';
    return this.#go((next) => this.#afterValue(next));
  }

  /** Like the guest's decoder, which sees the end of any scalar only in the byte behind it: of a number it must. */
  #scalarDone(): ScanStep {
    return this.#go(this.#open.length === 0 ? () => 'endBefore' : (next) => this.#afterValue(next));
  }

  #afterValue(byte: number): ScanStep {
    if (isWhiteSpace(byte)) return 'more';
    const inObject = this.#open.at(-1) === true;
    if (byte === comma) return this.#go(inObject ? (next) => this.#key(next) : (next) => this.#value(next));
    return byte === (inObject ? closeBrace : closeBracket) ? this.#leave() : 'error';
  }

  #firstElement(byte: number): ScanStep {
    return byte === closeBracket ? this.#leave() : this.#value(byte);
  }

  #firstKey(byte: number): ScanStep {
    return byte === closeBrace ? this.#leave() : this.#key(byte);
  }

  #key(byte: number): ScanStep {
    if (isWhiteSpace(byte)) return 'more';
    if (byte !== quote) return 'error';
    return this.#go((next) => this.#string(next, () => this.#go((after) => this.#colon(after))));
  }

  #colon(byte: number): ScanStep {
    if (isWhiteSpace(byte)) return 'more';
    return byte === colon ? this.#go((next) => this.#value(next)) : 'error';
  }

  #string(byte: number, done: () => ScanStep): ScanStep {
    if (byte === quote) return done();
    if (byte === backslash) return this.#go((next) => this.#escape(next, done));
    return byte < space ? 'error' : 'more';
  }

  #escape(byte: number, done: () => ScanStep): ScanStep {
    const inString: State = (next) => this.#string(next, done);
    if (simpleEscapes.has(byte)) return this.#go(inString);
    if (byte !== 0x75) return 'error';
    this.#position = 0;
    return this.#go((next) => {
      if (!isHexDigit(next)) return 'error';
      this.#position += 1;
      return this.#position === 4 ? this.#go(inString) : 'more';
    });
  }

  #literalRest(byte: number): ScanStep {
    if (byte !== this.#literal[this.#position]) return 'error';
    this.#position += 1;
    return this.#position === this.#literal.length ? this.#scalarDone() : 'more';
  }

  #numberStart(byte: number): ScanStep {
    if (!isDigit(byte)) return 'error';
    return this.#go(byte === zero ? (next) => this.#afterInteger(next) : (next) => this.#integer(next));
  }

  #integer(byte: number): ScanStep {
    return isDigit(byte) ? 'more' : this.#afterInteger(byte);
  }

  #afterInteger(byte: number): ScanStep {
    if (byte === point) return this.#go((next) => this.#digitThen(next, (after) => this.#fraction(after)));
    return this.#afterFraction(byte);
  }

  #fraction(byte: number): ScanStep {
    return isDigit(byte) ? 'more' : this.#afterFraction(byte);
  }

  #afterFraction(byte: number): ScanStep {
    if ((byte | 0x20) === 0x65) return this.#go((next) => this.#exponentSign(next));
    return this.#numberDone(byte);
  }

  #exponentSign(byte: number): ScanStep {
    if (byte === plus || byte === minus)
      return this.#go((next) => this.#digitThen(next, (after) => this.#exponent(after)));
    return this.#digitThen(byte, (after) => this.#exponent(after));
  }

  #exponent(byte: number): ScanStep {
    return isDigit(byte) ? 'more' : this.#numberDone(byte);
  }

  #digitThen(byte: number, state: State): ScanStep {
    return isDigit(byte) ? this.#go(state) : 'error';
  }

  /** A number ends only with the byte behind it, which belongs to what follows. */
  #numberDone(byte: number): ScanStep {
    if (this.#open.length === 0) return 'endBefore';
    this.#state = (next) => this.#afterValue(next);
    return this.#afterValue(byte);
  }
}
