// Reads JSON into structures as the original's decoder does (network-adapters.md, "Reading the text"): names in any
// letter case, null as if it were absent, a repeated member read into what the earlier one left. A reader gets what was
// read before and returns what is there now.
import type { JsonMember, JsonTree } from './json-tree.ts';

export interface Reader<Value> {
  /** What a member that is absent has. */
  readonly blank: Value;
  /** Throws a FieldError. */
  read(tree: JsonTree, before: Value): Value;
}

export type ValueOf<Read> = Read extends Reader<infer Value> ? Value : never;

/** A value of another kind than the original's structures have. */
export class FieldError extends Error {
  override readonly name = 'FieldError';
  readonly #path: readonly string[];
  readonly #problem: string;

  constructor(problem: string, path: readonly string[] = []) {
    super(path.length === 0 ? problem : `${path.join('.').replaceAll('.[', '[')}: ${problem}`);
    this.#path = path;
    this.#problem = problem;
  }

  /** The same error, as seen from the structure around it. */
  within(name: string): FieldError {
    return new FieldError(this.#problem, [name, ...this.#path]);
  }
}

export const text: Reader<string> = {
  blank: '',
  read(tree, before) {
    if (tree.kind === 'null') return before;
    if (tree.kind !== 'text') throw wrongKind(tree, 'a text');
    return tree.text;
  },
};

/** An integer of so many bits, spelled without fraction and exponent. */
export function unsigned(bits: 8 | 16 | 32): Reader<number> {
  const largest = 2 ** bits - 1;
  const spelling = /^\d+$/;
  return {
    blank: 0,
    read(tree, before) {
      if (tree.kind === 'null') return before;
      if (tree.kind !== 'number') throw wrongKind(tree, 'a number');
      const isIn = spelling.test(tree.source) && Number(tree.source) <= largest;
      if (!isIn) throw new FieldError(`${tree.source} is not an integer from 0 to ${largest}`);
      return Number(tree.source);
    },
  };
}

/** 64 bits, of which nothing is made here. */
export const integer: Reader<bigint> = {
  blank: 0n,
  read(tree, before) {
    if (tree.kind === 'null') return before;
    if (tree.kind !== 'number') throw wrongKind(tree, 'a number');
    const value = /^-?\d+$/.test(tree.source) ? BigInt(tree.source) : undefined;
    if (value === undefined || value !== BigInt.asIntN(64, value)) {
      throw new FieldError(`${tree.source} is not an integer of 64 bits`);
    }
    return value;
  },
};

/** Whatever it is, unread; undefined if it is absent. */
export const raw: Reader<JsonTree | undefined> = {
  blank: undefined,
  read: (tree) => tree,
};

/** Anything whose numbers a float can hold. */
export const anything: Reader<undefined> = {
  blank: undefined,
  read(tree) {
    const left = [tree];
    for (let each = left.pop(); each !== undefined; each = left.pop()) {
      if (each.kind === 'list') left.push(...each.items);
      else if (each.kind === 'object') left.push(...each.members.map(([, value]) => value));
      else if (each.kind === 'number' && !Number.isFinite(Number(each.source))) {
        throw new FieldError(`${each.source} is too large for a number`);
      }
    }
    return undefined;
  },
};

/** A list that comes twice is read entry by entry into the earlier one, of which the end is only hidden. */
export interface ReadList<Item> {
  readonly kept: readonly Item[];
  readonly length: number;
}

export function list<Item>(item: Reader<Item>): Reader<ReadList<Item>> {
  const blank: ReadList<Item> = { kept: [], length: 0 };
  return {
    blank,
    read(tree, before) {
      if (tree.kind === 'null') return blank;
      if (tree.kind !== 'list') throw wrongKind(tree, 'a list');
      if (tree.items.length === 0) return blank;
      const read = tree.items.map((each, index) =>
        naming(`[${index}]`, () => item.read(each, before.kept[index] ?? item.blank)),
      );
      return { kept: [...read, ...before.kept.slice(read.length)], length: read.length };
    },
  };
}

export function itemsOf<Item>({ kept, length }: ReadList<Item>): readonly Item[] {
  return kept.slice(0, length);
}

type Values<Members> = { readonly [Name in keyof Members]: ValueOf<Members[Name]> };

/** Members that it does not know are ignored. */
export function structure<Members extends Readonly<Record<string, Reader<unknown>>>>(
  members: Members,
): Reader<Values<Members>> {
  const names = new Map(Object.keys(members).map((name) => [folded(name), name]));
  const blank = Object.fromEntries(Object.entries(members).map(([name, member]) => [name, member.blank]));
  const readMember = (values: Record<string, unknown>, [name, value]: JsonMember) => {
    const known = names.get(folded(name));
    const member = known === undefined ? undefined : members[known];
    if (known === undefined || member === undefined) return;
    values[known] = naming(known, () => member.read(value, values[known]));
  };
  return {
    // Both are made member by member of `members`.
    blank: blank as Values<Members>,
    read(tree, before) {
      if (tree.kind === 'null') return before;
      if (tree.kind !== 'object') throw wrongKind(tree, 'an object');
      const values: Record<string, unknown> = { ...before };
      for (const member of tree.members) readMember(values, member);
      return values as Values<Members>;
    },
  };
}

/** Two letters outside ASCII are other cases of k and s. */
function folded(name: string): string {
  return name
    .replaceAll('\u212a', 'k')
    .replaceAll('\u017f', 's')
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function wrongKind(tree: JsonTree, wanted: string): FieldError {
  const found = { null: 'null', boolean: 'true or false', number: 'a number', text: 'a text' } as const;
  const kind = tree.kind === 'list' ? 'a list' : tree.kind === 'object' ? 'an object' : found[tree.kind];
  return new FieldError(`${kind} instead of ${wanted}`);
}

function naming<Value>(name: string, read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    throw error instanceof FieldError ? error.within(name) : error;
  }
}
