// Output of a program as lines of text.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PlainLines } from '../../../../agent/guest/log/plain-lines.ts';

function linesOf(...pieces: readonly (string | Uint8Array)[]): readonly string[] {
  const lines = new PlainLines();
  return [...pieces.flatMap((piece) => lines.add(Buffer.from(piece))), ...lines.end()];
}

describe('the lines of a program', () => {
  it('end with a line feed, with or without a carriage return', () => {
    expect(linesOf('one\ntwo\r\n\nrest')).toEqual(['one', 'two', '', 'rest']);
    expect(linesOf('one\n')).toEqual(['one']);
    expect(linesOf()).toEqual([]);
  });

  it('are the same however the bytes arrive', () => {
    const text = 'größer\n𝄞 clef\r\nend';
    const bytes = Buffer.from(text);
    const cuts = fc.array(fc.nat(bytes.length), { maxLength: 6 });
    fc.assert(
      fc.property(cuts, (at) => {
        const edges = [0, ...at.toSorted((a, b) => a - b), bytes.length];
        const pieces = edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
        expect(linesOf(...pieces)).toEqual(['größer', '𝄞 clef', 'end']);
      }),
    );
  });

  it('lose nothing when they are too long, and break between characters', () => {
    const long = `a${'ß'.repeat(10_000)}`;
    const lines = linesOf(`${long}\nshort\n`);
    expect(lines.length).toBeGreaterThan(2);
    expect(lines.at(-1)).toBe('short');
    expect(lines.slice(0, -1).join('')).toBe(long);
    for (const line of lines) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(4096);
  });

  it('replace bytes that are no text', () => {
    expect(linesOf(Buffer.from([0x61, 0xff, 0x62, 0x0a]))).toEqual(['a\u{fffd}b']);
  });
});
