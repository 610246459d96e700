import { expect, it } from 'vitest';
import { SharedTexts } from '../../../operator/kubernetes/shared-texts.ts';

it('leaves every value equal to what it was', () => {
  const texts = new SharedTexts(10);
  const value = { a: 'x', list: ['x', { deep: 'x' }, null, 3, true], none: null, long: 'y'.repeat(1_000) };
  const before = JSON.stringify(value);
  texts.shareIn(value);
  texts.shareIn(value);
  expect(JSON.stringify(value)).toBe(before);
  expect(texts.size).toBe(1);
});

it('never keeps more texts than its maximum', () => {
  const texts = new SharedTexts(10);
  for (let index = 0; index < 1_000; index += 1) {
    texts.shareIn({ name: `vm-${index}`, reason: 'Running' });
    expect(texts.size).toBeLessThanOrEqual(10);
  }
});

it('leaves frozen values alone', () => {
  const frozen = Object.freeze({ a: 'x' });
  expect(() => new SharedTexts(10).shareIn([frozen])).not.toThrow();
  expect(frozen.a).toBe('x');
});
