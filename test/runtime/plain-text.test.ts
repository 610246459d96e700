import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainJson, plainLines, plainText } from '../../runtime/plain-text.ts';
import { threadTime } from '../support/thread-time.ts';

const steering: readonly (readonly [string, string])[] = [
  ['\u001b[2J', '\\x1b[2J'],
  ['a\rb', 'a\\x0db'],
  ['\0', '\\x00'],
  ['\u007f', '\\x7f'],
  ['\u009b31m', '\\x9b31m'],
  ['\u0085', '\\x85'],
  ['\u2028\u2029', '\\u2028\\u2029'],
  ['\u202a\u202e', '\\u202a\\u202e'],
  ['\u2066\u2069', '\\u2066\\u2069'],
  ['\u200e\u200f\u061c', '\\u200e\\u200f\\u061c'],
  ['\ud800', '\\ud800'],
  ['\udc00\ud83d', '\\udc00\\ud83d'],
];

describe('text of a peer', () => {
  it.each(steering)('shows terminal control characters by their number: %j', (text, shown) => {
    expect(plainText(text)).toBe(shown);
    expect(plainLines(text)).toBe(shown);
  });

  it.each(['', 'C:\\Users\\x', 'größer, 日本語, عربي, עברית', '😀 👩‍👩‍👧', '\\x1b is text'])(
    'leaves %j unchanged',
    (text) => {
      expect(plainText(text)).toBe(text);
      expect(plainLines(text)).toBe(text);
    },
  );

  it('keeps lines only where lines are allowed', () => {
    expect(plainLines('a\n\tb\r\n')).toBe('a\n\tb\\x0d\n');
    expect(plainText('a\n\tb')).toBe('a\\x0a\\x09b');
  });

  it('has no control characters left, is well-formed, and does not change when escaped again', () => {
    const codeUnits = fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units));
    fc.assert(
      fc.property(codeUnits, (text) => {
        const plain = plainText(text);
        expect(plain.isWellFormed()).toBe(true);
        expect(plain).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u);
        expect(plainText(plain)).toBe(plain);
        expect(plainLines(text)).not.toMatch(/(?![\n\t])[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u);
      }),
    );
  });

  it('keeps its value in JSON, without control characters', () => {
    const codeUnits = fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units));
    fc.assert(
      fc.property(codeUnits, (text) => {
        const plain = plainJson(JSON.stringify({ text }));
        expect(plain).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u);
        expect(JSON.parse(plain)).toEqual({ text });
      }),
    );
    expect(plainJson('{"a":1}\n{"b":"größer 😀"}\n')).toBe('{"a":1}\n{"b":"größer 😀"}\n');
  });

  it('takes linear time', () => {
    const begun = threadTime();
    for (const unit of ['\u001b', '\n', 'a\u202e', '\ud800']) plainLines(unit.repeat(256 * 1024));
    expect(threadTime() - begun).toBeLessThan(2_000);
  });
});
