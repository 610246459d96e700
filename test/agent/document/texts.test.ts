// Path, quoting and encoding functions at edge cases that no golden case contains.
import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { base64Error } from '../../../agent/document/base64.ts';
import { compareBytes } from '../../../agent/document/byte-order.ts';
import { parseGuid } from '../../../agent/document/guid.ts';
import { quoteText } from '../../../agent/document/quoted-text.ts';
import { absolutePath, cleanPath, equalFold, joinPath } from '../../../agent/document/windows-paths.ts';

describe('Windows paths', () => {
  it.each([
    [['C:\\a', 'b'], 'C:\\a\\b'],
    [['C:\\a', ''], 'C:\\a'],
    [['C:', 'b'], 'C:b'],
    [['\\', '\\b'], '\\b'],
    [['', 'b'], 'b'],
    [['', ''], ''],
    [['C:\\a\\', '/b//c/'], 'C:\\a\\b\\c'],
    [['C:\\', '..\\..\\b'], 'C:\\b'],
    [['\\\\server\\share', 'b'], '\\\\server\\share\\b'],
    [['//server/share', '..'], '\\\\server\\share\\'],
    [['\\', '??\\x'], '\\.\\??\\x'],
    [['\\\\', 'server', 'share'], '\\\\server\\share'],
  ])('join %j', (elements, expected) => {
    expect(joinPath(...elements)).toBe(expected);
  });

  it.each([
    ['a\\..\\..\\b', '..\\b'],
    ['a\\..', '.'],
    ['C:', 'C:.'],
    ['x\\..\\c:y', '.\\c:y'],
    ['name:stream', 'name:stream'],
    ['name:stream\\x\\..', 'name:stream'],
    ['\\x\\..\\??\\c:', '\\.\\??\\c:'],
    ['C:\\a.\\b..', 'C:\\a.\\b..'],
    ['C:\\...\\b', 'C:\\...\\b'],
    ['C:a/../..', 'C:..'],
    ['\\\\.\\pipe\\', '\\\\.\\pipe\\'],
    ['//./UNC/server/share/../x', '\\\\.\\UNC\\server\\share\\x'],
    ['\\\\?\\C:\\a\\..\\b', '\\\\?\\C:\\b'],
    ['C:\\.hidden', 'C:\\.hidden'],
    // A drive letter is an ASCII letter.
    ['é:', 'é:'],
    ['é:\\a\\\\b', '.\\é:\\a\\b'],
    ['/:', '/:.'],
    // A part that `..` removed still counts once something was moved.
    ['ab:c\\\\d\\..', '.\\ab:c'],
    ['ab:c\\d\\..', 'ab:c'],
    ['.\\C:\\..', '.\\.'],
  ])('clean %s', (path, expected) => {
    expect(cleanPath(path)).toBe(expected);
  });

  it.each([
    ['', 'C:\\work'],
    ['a', 'C:\\work\\a'],
    ['\\a', 'C:\\a'],
    ['c:a', 'C:\\work\\a'],
    ['D:a', 'D:\\a'],
    ['D:/a/', 'D:\\a'],
    ['\\\\server\\share\\a', '\\\\server\\share\\a'],
    ['\\\\', '\\\\'],
  ])('absolute form of "%s"', (path, expected) => {
    expect(absolutePath(path, 'C:\\work')).toBe(expected);
  });

  it('cleaning a path twice removes at most an unneeded guard', () => {
    // The original also looks for a colon in the part that it has cut off.
    expect(cleanPath('.\\C:/..')).toBe('.\\.');
    const path = fc.array(fc.constantFrom('a', '.', '..', '\\', '/', 'C:', 'b.c'), { maxLength: 8 });
    fc.assert(
      fc.property(path, (parts) => {
        const once = cleanPath(parts.join(''));
        expect([once, once.replace(/^\.\\/, '')]).toContain(cleanPath(once));
      }),
    );
  });

  it('compares by simple case folding', () => {
    expect(equalFold('C:\\Files', 'c:\\fileſ')).toBe(true);
    expect(equalFold('straße', 'strasse')).toBe(false);
    expect(equalFold('a.c', 'abc')).toBe(false);
    expect(equalFold('ı', 'i')).toBe(false);
  });
});

describe('quoted text', () => {
  it('escapes the characters that the original escapes, for every known character', () => {
    const codes = Array.from({ length: 0x3_4000 }, (_, code) => code).filter((code) => code < 0xd800 || code > 0xdfff);
    const quoted = quoteText(codes.map((code) => String.fromCodePoint(code)).join(''));
    // The digest of the text that Go makes of these characters.
    const digest = '9016f2626a7283ff1857a29e14981e4a2db18803e31b3b6c46b780ca541cd970';
    expect(createHash('sha256').update(quoted).digest('hex')).toBe(digest);
  });
});

describe('base64', () => {
  it('accepts every encoded text, with line breaks anywhere', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.nat(), (bytes, at) => {
        const text = Buffer.from(bytes).toString('base64');
        const place = at % (text.length + 1);
        expect(base64Error(text)).toBeUndefined();
        expect(base64Error(`${text.slice(0, place)}\r\n${text.slice(place)}`)).toBeUndefined();
      }),
    );
  });

  it.each([
    ['YQ', 0],
    ['YQ\n', 1],
    ['YWJjZ', 4],
    ['Y===', 1],
    ['YQ=\n=', undefined],
    ['YQ=x', 2],
    ['YQ==\nYQ==', 5],
    ['YWI==', 4],
  ])('%j fails at %s', (text, offset) => {
    expect(base64Error(text)).toBe(offset);
  });
});

describe('byte order', () => {
  it('is the order of the UTF-8 bytes', () => {
    const text = fc.string({ unit: 'binary' });
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
  });
});

describe('GUIDs', () => {
  it('are written in lower case, and anything else is refused with the original error', () => {
    expect(parseGuid('ABCDEF00-1111-2222-3333-444455556666')).toBe('abcdef00-1111-2222-3333-444455556666');
    expect(() => parseGuid('{"x"}')).toThrow('invalid GUID "{\\"x\\"}"');
  });
});
