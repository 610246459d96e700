// Random numbers from one seed. Each source has its own stream: a draw depends only on the seed, the name of the source
// and the number of the draw. A fault that is switched off therefore changes no draw of another source.

export interface Chance {
  /** A number in [0, 1). */
  readonly number: () => number;
  /** An integer from 0 to `below` - 1. */
  integer(below: number): number;
  happens(probability: number): boolean;
  /** Throws for an empty list. */
  pick<T>(choices: readonly T[]): T;
  bytes(size: number): Uint8Array;
  /** A UUID of version 4. */
  uuid(): string;
}

export function chanceOf(seed: number, source: string): Chance {
  return new Stream(mixed(seed ^ 0x9e37_79b9, hashOf(source)));
}

class Stream implements Chance {
  readonly #key: number;
  #draws = 0;

  constructor(key: number) {
    this.#key = key;
  }

  readonly number = (): number => this.#draw() / 0x1_0000_0000;

  integer(below: number): number {
    return Math.floor(this.number() * below);
  }

  happens(probability: number): boolean {
    return this.number() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    const chosen = choices[this.integer(choices.length)];
    if (chosen === undefined) throw new Error('there is nothing to pick from');
    return chosen;
  }

  bytes(size: number): Uint8Array {
    return Uint8Array.from({ length: size }, () => this.#draw() & 0xff);
  }

  uuid(): string {
    const hex = Buffer.from(this.bytes(16)).toString('hex');
    const variant = '89ab'[this.integer(4)];
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
  }

  #draw(): number {
    this.#draws += 1;
    return mixed(this.#key, this.#draws);
  }
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c_9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x0100_0193);
  }
  return hash >>> 0;
}

/** The finalizer of MurmurHash3 over both numbers: neighbouring inputs give unrelated outputs. */
function mixed(one: number, other: number): number {
  let hash = Math.imul(one ^ Math.imul(other + 0x7ed5_5d16, 0xcc9e_2d51), 0x1b87_3593);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
