// A large fleet: what users wait for, and what agents and VMs cost, as a page with tables and plots. Its parts can be
// measured one by one: the page keeps what was measured of the others.
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { changes } from './parts/changes.ts';
import { latency } from './parts/latency.ts';
import type { Part } from './parts/part.ts';
import { size } from './parts/size.ts';
import { storm } from './parts/storm.ts';
import { throughput } from './parts/throughput.ts';
import { outlineOf } from './report/outline.ts';
import { writeReport } from './report/report.ts';
import { keepResults, type Machine, type PartResult, type Plot } from './report/results.ts';
import type { FleetSizes } from './sizes.ts';

export interface FleetOptions {
  readonly sizes: FleetSizes;
  /** All of them if there is none. */
  readonly parts: readonly string[];
  /** The folder of the page. */
  readonly report: string | undefined;
  /** Takes lines about the progress. */
  readonly say: (line: string) => void;
}

const parts: readonly Part[] = [latency, throughput, changes, storm, size];
const reportFolder = fileURLToPath(new URL('../../../docs/benchmarks/', import.meta.url));

/** Writes the page after each part. Throws if there is no such part. */
export async function benchFleet(options: FleetOptions): Promise<readonly PartResult[]> {
  const unknown = options.parts.filter((name) => parts.every((part) => part.name !== name));
  if (unknown.length > 0) {
    throw new Error(`no such part: ${unknown.join(', ')}; there are ${parts.map(({ name }) => name).join(', ')}`);
  }
  const wanted = parts.filter(({ name }) => options.parts.length === 0 || options.parts.includes(name));
  const results: PartResult[] = [];
  for (const part of wanted) {
    const result = await measured(part, options);
    results.push(result);
    const folder = options.report ?? reportFolder;
    const all = keepResults(
      folder,
      [result],
      parts.map(({ name }) => name),
    );
    writeReport(folder, all);
    options.say(`${part.name} · written to ${join(folder, 'fleet.md')}`);
  }
  return results;
}

async function measured({ name, title, run }: Part, { sizes, say }: FleetOptions): Promise<PartResult> {
  const begun = performance.now();
  const sinceBegun = () => `${((performance.now() - begun) / 1000).toFixed(0)} s`;
  say(`${name} · begins`);
  const figures = await run(sizes, (line) => say(`${name} · ${sinceBegun()} · ${line}`));
  const day = new Date().toISOString().slice(0, 10);
  return { part: name, title, day, machine: thisMachine(), ...figures, plots: figures.plots.map(outlined) };
}

function outlined(plot: Plot): Plot {
  return { ...plot, series: plot.series.map(({ name, points }) => ({ name, points: outlineOf(points) })) };
}

function thisMachine(): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGibibytes: Math.round(totalmem() / 2 ** 30),
    node: process.version,
  };
}
