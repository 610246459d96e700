// A bounded set of items that belong to peers whose identity is not known yet. Each item counts for the address that it
// came from. When the pool is more than half full, the address with the most items loses its oldest one. So a stranger
// who fills the pool displaces only his own items, unless he has more addresses than the pool has places.
import { type Link, LinkedList } from './linked-list.ts';

interface Holder<T> {
  readonly address: string;
  /** Oldest first. */
  readonly items: LinkedList<T>;
  turn: Link<Holder<T>> | undefined;
  rank: Link<Holder<T>> | undefined;
}

interface Place<T> {
  readonly holder: Holder<T>;
  readonly link: Link<T>;
}

export class FairPool<T> {
  readonly #capacity: number;
  readonly #places = new Map<T, Place<T>>();
  readonly #holders = new Map<string, Holder<T>>();
  /** Holders in the order of their turns. */
  readonly #turns = new LinkedList<Holder<T>>();
  /** Holders by their number of items, so that the one with the most is found at once, however many there are. */
  readonly #ranks = new Map<number, LinkedList<Holder<T>>>();
  #most = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#places.size;
  }

  /** Returns the item that was displaced, if any. */
  add(address: string, item: T): T | undefined {
    const holder = this.#holders.get(address) ?? this.#hold(address);
    const before = holder.items.length;
    this.#places.set(item, { holder, link: holder.items.push(item) });
    this.#rank(holder, before);
    return this.size > this.#capacity / 2 ? this.#evict() : undefined;
  }

  /** False when the pool no longer has the item. */
  delete(item: T): boolean {
    const place = this.#places.get(item);
    if (place === undefined) return false;
    const { holder, link } = place;
    this.#places.delete(item);
    holder.items.remove(link);
    this.#rank(holder, holder.items.length + 1);
    if (holder.items.length === 0) this.#letGo(holder);
    return true;
  }

  /** Removes and returns the oldest item of the address whose turn it is. */
  take(): T | undefined {
    const holder = this.#turns.first;
    const item = holder?.items.first;
    if (holder === undefined || item === undefined) return undefined;
    this.delete(item);
    if (holder.items.length > 0 && holder.turn !== undefined) {
      this.#turns.remove(holder.turn);
      holder.turn = this.#turns.push(holder);
    }
    return item;
  }

  #evict(): T | undefined {
    const oldest = this.#ranks.get(this.#most)?.first?.items.first;
    if (oldest !== undefined) this.delete(oldest);
    return oldest;
  }

  #hold(address: string): Holder<T> {
    const holder: Holder<T> = { address, items: new LinkedList(), turn: undefined, rank: undefined };
    holder.turn = this.#turns.push(holder);
    this.#holders.set(address, holder);
    return holder;
  }

  #letGo({ address, turn }: Holder<T>): void {
    this.#holders.delete(address);
    if (turn !== undefined) this.#turns.remove(turn);
  }

  /** `before`: the holder's former number of items, one more or one less than now. */
  #rank(holder: Holder<T>, before: number): void {
    const former = this.#ranks.get(before);
    if (holder.rank !== undefined) former?.remove(holder.rank);
    if (former?.length === 0) this.#ranks.delete(before);
    const now = holder.items.length;
    holder.rank = now === 0 ? undefined : this.#ranked(now).push(holder);
    // A holder that alone had the most items still has the most after it lost one.
    if (now > this.#most || !this.#ranks.has(this.#most)) this.#most = now;
  }

  #ranked(count: number): LinkedList<Holder<T>> {
    const known = this.#ranks.get(count);
    if (known !== undefined) return known;
    const added = new LinkedList<Holder<T>>();
    this.#ranks.set(count, added);
    return added;
  }
}
