// What holds for all annotations, whatever their values are.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readAnnotations } from '../../annotations/given.ts';
import { optionsOf } from '../../annotations/options.ts';
import { parseInt32, parseList, parseUint16, parseUint32, parseUint64 } from '../../annotations/values.ts';
import { SimulatedFiles } from '../golden/simulated-files.ts';
import { convertedKeys, convertStepByStep } from './step-by-step.ts';

const odd = [
  '',
  '0',
  '1',
  '-1',
  '+5',
  ' 7',
  '007',
  '1.5',
  '0x10',
  'true',
  'False',
  'tRUE',
  'vhd',
  'initrd',
  'D:\\boot',
];
const value = fc.oneof(
  fc.constantFrom(...odd, '2147483648', '4294967296', '18446744073709551616', 'C:\\LINUXBOOTFILES', 'boot\\..'),
  fc.integer().map(String),
  fc.string({ maxLength: 6 }),
);
const annotations = fc.dictionary(fc.constantFrom(...convertedKeys), value, { maxKeys: 12 });
const files = fc
  .subarray(
    ['kernel', 'vmlinux', 'initrd.img', 'rootfs.vhd'].flatMap((name) => [
      `C:\\LinuxBootFiles\\${name}`,
      `D:\\boot\\${name}`,
    ]),
  )
  .map((paths) => new SimulatedFiles(Object.fromEntries(paths.map((path) => [path, 4096]))));
const host = fc.record({
  architecture: fc.constantFrom('amd64' as const, 'arm64' as const),
  build: fc.constantFrom(17763, 18286, 18362, 20348, 26100),
  visibleProcessors: fc.constantFrom(1, 8),
  bootFolder: fc.constant('C:\\LinuxBootFiles'),
  currentDirectory: fc.constant('C:\\'),
});

function given(texts: Readonly<Record<string, string>>) {
  const reading = readAnnotations({ linux: {}, annotations: texts });
  if (reading.kind === 'refused') throw new Error(reading.message);
  return reading;
}

const keyOf = (fields: Readonly<Record<string, unknown>>) => fields['oci-annotation'] ?? fields['annotation'];

describe('the options of annotations', () => {
  it('are those of one step after the other, with the same warnings', () => {
    fc.assert(
      fc.property(annotations, host, files, (texts, ofHost, ofFiles) => {
        const { given: options, warnings } = given(texts);
        const model = convertStepByStep(texts, ofHost, ofFiles);
        expect(optionsOf(options, { id: 'vm', owner: 'o' }, ofHost, ofFiles)).toEqual(model.options);
        expect(warnings.map(({ fields }) => keyOf(fields))).toEqual(model.warnings);
      }),
      { numRuns: 500 },
    );
  });

  it('do not depend on keys that hcsshim does not know, nor on the order of keys', () => {
    const unknown = fc.dictionary(
      fc
        .constantFrom(...convertedKeys)
        .chain((key) => fc.constantFrom(key.toUpperCase(), `${key}x`, ` ${key}`, '__proto__')),
      value,
    );
    fc.assert(
      fc.property(annotations, unknown, (texts, others) => {
        const mixed = Object.fromEntries([...Object.entries(others), ...Object.entries(texts).reverse()]);
        const all = given(mixed);
        expect(all.given).toEqual(given(texts).given);
        expect(all.warnings).toEqual(given(texts).warnings);
      }),
    );
  });

  it('are ignored exactly where a warning says so', () => {
    fc.assert(
      fc.property(annotations, (texts) => {
        const { ignored, warnings } = given(texts);
        expect(new Set(ignored.filter(({ warns }) => warns).map(({ key }) => key))).toEqual(
          new Set(warnings.map(({ fields }) => keyOf(fields))),
        );
      }),
    );
  });
});

describe('numbers', () => {
  const zeros = fc.integer({ min: 0, max: 30 }).map((count) => '0'.repeat(count));

  it('are read in their whole range, and not beyond it', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }), zeros, (number, leading) => {
        const digits = `${leading}${number < 0n ? -number : number}`;
        const text = `${number < 0n ? '-' : ''}${digits}`;
        const within = (low: bigint, high: bigint) => (number >= low && number <= high ? number : undefined);
        const asNumber = (found: bigint | undefined) => (found === undefined ? undefined : Number(found));
        expect(parseInt32(text)).toBe(asNumber(within(-(2n ** 31n), 2n ** 31n - 1n)));
        if (number >= 0n) expect(parseInt32(`+${text}`)).toBe(parseInt32(text));
        expect(parseUint16(text)).toBe(asNumber(within(0n, 2n ** 16n - 1n)));
        expect(parseUint32(text)).toBe(asNumber(within(0n, 2n ** 32n - 1n)));
        expect(parseUint64(text)).toBe(within(0n, 2n ** 64n - 1n));
      }),
      { examples: [-(2n ** 31n), 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n, 2n ** 64n - 1n, 2n ** 64n].map((n) => [n, '']) },
    );
  });

  it.each(['', '+', '-', '+-1', '--1', '1 ', ' 1', '1_0', '1e3', '٣', '１', '1\n'])('are not %j', (text) => {
    for (const parse of [parseInt32, parseUint32, parseUint64]) expect(parse(text)).toBeUndefined();
  });

  it('have no sign where they cannot be negative, and -0 is 0', () => {
    for (const parse of [parseUint16, parseUint32, parseUint64]) expect(parse('+1')).toBeUndefined();
    expect(parseInt32('-0')).toBe(0);
  });

  it('of a list are all read, or none', () => {
    expect(parseList('1,2', parseUint32)).toEqual([1, 2]);
    for (const text of ['1,', ',1', '1,,2', '1, 2', '1,-2']) expect(parseList(text, parseUint32)).toBeUndefined();
  });
});
