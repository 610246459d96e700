// The pool in which strangers can take only each other's places.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairPool } from '../../../runtime/connections/fair-pool.ts';
import { peerAddress } from '../../../runtime/connections/peer-address.ts';
import { threadTime } from '../../support/thread-time.ts';

/** The same pool by plain search. */
class SlowPool {
  items: { readonly address: string; readonly item: number }[] = [];

  add(capacity: number, address: string, item: number): number | undefined {
    this.items.push({ address, item });
    if (this.items.length <= capacity / 2) return undefined;
    const counts = new Map<string, number>();
    for (const each of this.items) counts.set(each.address, (counts.get(each.address) ?? 0) + 1);
    const most = Math.max(...counts.values());
    return this.items.find((each) => counts.get(each.address) === most)?.item;
  }

  remove(item: number): void {
    this.items = this.items.filter((each) => each.item !== item);
  }

  countOf(item: number): number {
    const address = this.items.find((each) => each.item === item)?.address;
    return this.items.filter((each) => each.address === address).length;
  }
}

describe('a fair pool', () => {
  it('evicts the oldest item of the address with the most items, once it is more than half full', () => {
    const pool = new FairPool<string>(8);
    expect(['a1', 'a2', 'b1', 'a3'].map((item) => pool.add(item[0] ?? '', item))).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect(pool.add('b', 'b2')).toBe('a1');
    expect(pool.add('a', 'a4')).toBe('a2');
    expect(pool.size).toBe(4);
  });

  it('takes items in turn among addresses, the oldest of each first', () => {
    const pool = new FairPool<string>(100);
    for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2']) pool.add(item[0] ?? '', item);
    pool.delete('a2');
    const taken: (string | undefined)[] = [];
    while (pool.size > 0) taken.push(pool.take());
    expect(taken).toEqual(['a1', 'b1', 'c1', 'a3', 'c2']);
    expect(pool.take()).toBeUndefined();
  });

  it('never holds more than half, whatever is added and removed, and evicts only from an address with the most items', () => {
    const step = fc.record({ address: fc.constantFrom('a', 'b', 'c', 'd'), leave: fc.integer({ min: 0, max: 20 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const pool = new FairPool<number>(16);
        const slow = new SlowPool();
        for (const [item, { address, leave }] of steps.entries()) {
          const expected = slow.add(16, address, item);
          const evicted = pool.add(address, item);
          expect(evicted === undefined).toBe(expected === undefined);
          if (evicted !== undefined) {
            expect(slow.countOf(evicted)).toBe(slow.countOf(expected ?? -1));
            slow.remove(evicted);
          }
          if (pool.delete(leave)) slow.remove(leave);
          expect(pool.size).toBe(slow.items.length);
        }
      }),
    );
  });

  it('stays fast with as many addresses as items', () => {
    const pool = new FairPool<number>(20_000);
    const begun = threadTime();
    for (let item = 0; item < 50_000; item += 1) pool.add(`address ${item % 15_000}`, item);
    expect(threadTime() - begun).toBeLessThan(5_000);
    expect(pool.size).toBe(10_000);
  });
});

describe('the address of a peer', () => {
  it.each([
    ['10.1.2.3', '10.1.2.3'],
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ])('of %s is %s', (remoteAddress, expected) => {
    expect(peerAddress({ remoteAddress })).toBe(expected);
  });
});
