import { expect, it } from 'vitest';
import { BoundedMemory } from '../../runtime/bounded-memory.ts';

it('a bounded memory keeps the most recent entries, within its limit of bytes', () => {
  const memory = new BoundedMemory<number>(100);
  memory.set('a', 1, 40);
  memory.set('b', 2, 40);
  memory.set('a', 3, 40);
  memory.set('c', 4, 40);
  expect([memory.get('a'), memory.get('b'), memory.get('c')]).toEqual([3, undefined, 4]);
  memory.set('large', 5, 1_000);
  expect([memory.has('a'), memory.has('c'), memory.get('large')]).toEqual([false, false, 5]);
  memory.set('d', 6, 10);
  expect([memory.has('large'), memory.get('d')]).toEqual([false, 6]);
});
