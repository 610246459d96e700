// Fixed figures give a fixed page and fixed plots.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { outlineOf } from './outline.ts';
import { pageOf, valueText, writeReport } from './report.ts';
import { keepResults, type PartResult, type Plot, readResults } from './results.ts';
import { linearScale, logScale } from './scale.ts';
import { svgOf } from './svg.ts';

const plot: Plot = {
  id: 'memory-agents',
  title: 'Memory & agents',
  x: { label: 'agents', scale: 'linear' },
  y: { label: 'MiB', scale: 'linear' },
  series: [
    {
      name: 'operator',
      points: [
        [0, 100],
        [500, 134],
        [5000, 640],
      ],
    },
    {
      name: '<ws>',
      points: [
        [0, 60],
        [5000, 400],
      ],
    },
  ],
  bound: { name: 'bound', y: 700 },
};
const result: PartResult = {
  part: 'storm',
  title: 'Idle agents',
  day: '2026-12-01',
  machine: { processor: 'Some CPU', cores: 2, memoryGibibytes: 24, node: 'v24.0.0' },
  setting: '5,000 agents.',
  measures: [
    { name: 'memory', unit: 'KiB', value: 110.6, most: 100, baseline: { name: 'a bare server', value: 73.7 } },
    { name: 'writes', unit: '', value: 0, most: 0 },
    { name: 'others', unit: 's', value: 12_345.6 },
  ],
  plots: [plot],
  processorSeconds: { operator: 12.34, etcd: 0.01, 'kube-apiserver': 45 },
};

describe('the page', () => {
  it('says what is met, what is over, and the ratio to the baseline', () => {
    const page = pageOf([result]);
    expect(page).toContain('| memory | 111 KiB | **over**: ≤ 100 KiB | 1.5 × a bare server (73.7 KiB) |\n');
    expect(page).toContain('| writes | 0 | met: ≤ 0 |  |\n');
    expect(page).toContain('| others | 12,346 s |  |  |\n');
    expect(page).toContain('Processor time during this part: kube-apiserver 45 s, operator 12.3 s.\n');
    expect(page).toContain(
      'on Some CPU with 2 cores and 24 GiB, Node v24.0.0; by `npm run bench -- fleet --part storm`',
    );
  });

  it('says so if a figure could not be measured', () => {
    expect(valueText(Number.NaN)).toBe('not measured');
  });
});

describe('a plot', () => {
  it('is the same text each time, with its labels, its series and both modes', () => {
    const svg = svgOf(plot);
    expect(svg).toBe(svgOf(structuredClone(plot)));
    expect(svg).toContain('Memory &amp; agents');
    expect(svg).toContain('>&lt;ws></text>');
    expect(svg).toContain('>5,000</text>');
    expect(svg).toContain('prefers-color-scheme: dark');
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    expect(svg.match(/<circle/g)).toHaveLength(5);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  it('of many points has a line without dots', () => {
    const points = Array.from({ length: 500 }, (_, index): [number, number] => [index, index]);
    expect(svgOf({ ...plot, series: [{ name: 'many', points }] })).not.toContain('<circle');
  });

  it('without any point is still a plot', () => {
    for (const scale of ['linear', 'log'] as const) {
      const empty = { ...plot, x: { ...plot.x, scale }, y: { ...plot.y, scale }, series: [], bound: undefined };
      expect(svgOf(empty)).not.toMatch(/NaN|undefined|Infinity/);
    }
  });
});

describe('the outline of a line', () => {
  it('has its peaks, and few points', () => {
    const points = Array.from({ length: 10_000 }, (_, index): [number, number] => [
      index,
      index === 4_321 ? 77 : index % 2,
    ]);
    const outline = outlineOf(points);
    expect(outline.length).toBeLessThanOrEqual(600);
    expect(outline).toContainEqual([4_321, 77]);
    expect([outline.at(0), outline.at(-1)]).toEqual([
      [0, 0],
      [9_999, 1],
    ]);
  });

  it('is the line itself if it has few points', () => {
    expect(outlineOf([])).toEqual([]);
    expect(outlineOf([[1, 2.000_001]])).toEqual([[1, 2]]);
  });
});

describe('a scale', () => {
  it('that is linear begins at 0 and ends at a round value', () => {
    const { at, ticks } = linearScale([3, 640]);
    expect(ticks).toEqual([0, 200, 400, 600, 800]);
    expect([at(0), at(400), at(800)]).toEqual([0, 0.5, 1]);
  });

  it('that is logarithmic covers its values', () => {
    const { at, ticks } = logScale([100, 20_000]);
    expect(ticks).toEqual([100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000]);
    expect([at(100), at(20_000)]).toEqual([0, 1]);
  });
});

describe('results', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'fleet-report-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('of a part replace what was kept of it, and leave other parts', () => {
    const parts = ['latency', 'storm'];
    expect(readResults(folder)).toEqual([]);
    keepResults(folder, [result], parts);
    keepResults(folder, [{ ...result, part: 'latency', plots: [] }], parts);
    const all = keepResults(folder, [{ ...result, day: '2026-12-02' }], parts);
    expect(all.map(({ part, day }) => [part, day])).toEqual([
      ['latency', '2026-12-01'],
      ['storm', '2026-12-02'],
    ]);
    expect(readResults(folder)).toEqual(all);
    writeReport(folder, all);
    expect(readdirSync(folder).sort()).toEqual(['fleet-memory-agents.svg', 'fleet.json', 'fleet.md']);
    expect(readFileSync(join(folder, 'fleet.md'), 'utf8')).toContain('![Memory & agents](fleet-memory-agents.svg)');
  });
});
