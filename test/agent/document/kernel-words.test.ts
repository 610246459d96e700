// The quick answer about a kernel command line must never contradict the words that the kernel reads.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  initArgumentsMaximum,
  initWords,
  isPlainCommandLine,
  kernelCommandLineBytes,
  kernelWords,
} from '../../../agent/document/kernel-words.ts';

const word = fc.constantFrom(
  'a',
  'pci=off',
  '--',
  '--x',
  'x--',
  '"',
  '"a b"',
  '\t',
  'ü',
  '€',
  '',
  ' ',
  'x'.repeat(300),
);
const part = fc.array(word, { maxLength: 40 }).map((words) => words.join(' '));

it('a line that is called plain has the bytes, arguments and words for init that were meant', () => {
  const answers = new Set<boolean>();
  fc.assert(
    fc.property(part, part, (kernel, init) => {
      const text = `${kernel} -- ${init}`;
      const isPlain = isPlainCommandLine(text, kernel.length + 1);
      answers.add(isPlain);
      if (!isPlain) return;
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(kernelCommandLineBytes);
      expect(initWords(text)).toEqual(kernelWords(init));
      expect(initWords(text).length).toBeLessThanOrEqual(initArgumentsMaximum);
    }),
    { numRuns: 2_000, seed: 1 },
  );
  expect(answers).toEqual(new Set([true, false]));
});

it('calls the lines of documents plain', () => {
  const kernel = '8250_core.nr_uarts=0 panic=-1 quiet pci=off nr_cpus=2 brd.rd_nr=0 pmtmr=0';
  const init = '-e 1 /bin/vsockexec -e 109 /bin/gcs -v4 -log-format json -loglevel debug';
  expect(isPlainCommandLine(`${kernel} -- ${init}`, kernel.length + 1)).toBe(true);
});
