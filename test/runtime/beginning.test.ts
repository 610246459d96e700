import fc from 'fast-check';
import { expect, it } from 'vitest';
import { beginning, beginningInBytes } from '../../runtime/beginning.ts';

const texts = fc.string({ unit: 'binary', maxLength: 40 });
const limits = fc.nat({ max: 80 });

it('the beginning of a text is within its limit, well-formed, and as long as possible', () => {
  fc.assert(
    fc.property(texts, limits, (text, limit) => {
      const begun = beginning(text, limit);
      expect(text.startsWith(begun)).toBe(true);
      expect(begun.length).toBeLessThanOrEqual(limit);
      expect(begun.isWellFormed()).toBe(true);
      expect(begun === text || begun.length >= limit - 1).toBe(true);
    }),
  );
});

it('the beginning counts bytes where the limit is in bytes', () => {
  fc.assert(
    fc.property(texts, limits, (text, limit) => {
      const begun = beginningInBytes(text, limit);
      expect(text.startsWith(begun)).toBe(true);
      expect(Buffer.byteLength(begun)).toBeLessThanOrEqual(limit);
      expect(begun.isWellFormed()).toBe(true);
      expect(begun === text || Buffer.byteLength(begun) > limit - 4).toBe(true);
    }),
  );
});
