import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Figure, readFigures, writeFigure } from './figures.ts';
import { compare, median } from './judgement.ts';

const figure = (value: number, changes: Partial<Figure> = {}): Figure => ({
  ...{ bench: 'documents', name: 'all', unit: 'µs', better: 'less', value },
  ...changes,
});
const runs = (values: readonly number[], changes: Partial<Figure> = {}) =>
  values.map((value) => [figure(value, changes)]);

describe('figures in a file', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'figures-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('are read as they were written', () => {
    const path = join(folder, 'figures.csv');
    const written = [
      figure(1.5, { name: 'defaults: initrd, "kernel", VPMem' }),
      figure(3e6, { better: 'more', unit: 'lines/s' }),
    ];
    for (const each of written) writeFigure(path, each, new Date(0));
    expect(readFigures(path)).toEqual(written);
  });

  it.each(['nonsense', 't,b,"n",µs,less,many', 't,b,"n,µs,less,1'])(
    'are refused when they cannot be read: %s',
    (line) => {
      const path = join(folder, 'bad.csv');
      writeFileSync(path, `time,bench,figure,unit,better,value\n${line}\n`);
      expect(() => readFigures(path)).toThrow('unreadable line');
      writeFileSync(path, `${line}\n`);
      expect(() => readFigures(path)).toThrow('does not begin with');
    },
  );
});

describe('the comparison of two commits', () => {
  it('takes a loss of more than 15 % for worse, whichever direction is better', () => {
    expect(compare(runs([10, 10, 10]), runs([11.4, 11.4, 11.4]))[0]).toMatchObject({ isWorse: false, noise: 0 });
    expect(compare(runs([10, 10, 10]), runs([11.6, 11.6, 11.6]))[0]).toMatchObject({ isWorse: true });
    expect(compare(runs([10, 10, 10]), runs([5, 5, 5]))[0]).toMatchObject({ isWorse: false, loss: -0.5 });
    const more = { better: 'more' } as const;
    expect(compare(runs([10, 10, 10], more), runs([8.5, 8.5, 8.5], more))[0]).toMatchObject({ isWorse: true });
    expect(compare(runs([10, 10, 10], more), runs([12, 12, 12], more))[0]).toMatchObject({ isWorse: false });
  });

  it('allows the noise that it sees between the runs of the same commit', () => {
    const [noisy] = compare(runs([10, 13, 10, 13, 10]), runs([13, 16, 13, 16, 13]));
    expect(noisy?.noise).toBeCloseTo(0.265, 2);
    expect(noisy?.isWorse).toBe(false);
  });

  it('is not misled by one run that something has disturbed, nor by a machine that slows down', () => {
    expect(compare(runs([10, 10, 10]), runs([10, 100, 10]))[0]?.isWorse).toBe(false);
    expect(compare(runs([10, 20, 40]), runs([10, 20, 40]))[0]?.loss).toBe(0);
  });

  it('leaves out figures that the earlier commit has not', () => {
    expect(compare([[]], [[figure(1)]])).toEqual([]);
  });

  it('knows the median', () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([])]).toEqual([2, 2.5, 0]);
  });
});
