// What the parts of the bench have measured, in a file beside the report, so that parts can be measured one by one.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const measure = z.object({
  name: z.string(),
  unit: z.string(),
  value: z.number(),
  /** The most that the specification allows. */
  most: z.number().optional(),
  /** The same of something simpler, measured in the same run. */
  baseline: z.object({ name: z.string(), value: z.number() }).optional(),
});

const axis = z.object({ label: z.string(), scale: z.enum(['linear', 'log']) });
const point = z.tuple([z.number(), z.number()]);

const plot = z.object({
  /** The name of its file, without the ending. */
  id: z.string().regex(/^[a-z-]+$/),
  title: z.string(),
  x: axis,
  y: axis,
  series: z.array(z.object({ name: z.string(), points: z.array(point) })),
  /** What `y` should stay below. */
  bound: z.object({ name: z.string(), y: z.number() }).optional(),
});

const machine = z.object({
  processor: z.string(),
  cores: z.number(),
  memoryGibibytes: z.number(),
  node: z.string(),
});

const partResult = z.object({
  part: z.string(),
  title: z.string(),
  /** Such as 2026-12-01. */
  day: z.string(),
  machine,
  /** What was measured, in a sentence with its sizes. */
  setting: z.string(),
  measures: z.array(measure),
  plots: z.array(plot),
  /** Seconds of processor time while the part ran, by program. */
  processorSeconds: z.record(z.string(), z.number()),
});

export type Measure = z.infer<typeof measure>;
export type Plot = z.infer<typeof plot>;
export type Machine = z.infer<typeof machine>;
export type PartResult = z.infer<typeof partResult>;

const fileName = 'fleet.json';

/** Throws if the file is there and cannot be read. */
export function readResults(folder: string): readonly PartResult[] {
  let text: string;
  try {
    text = readFileSync(join(folder, fileName), 'utf8');
  } catch {
    return [];
  }
  return z.array(partResult).parse(JSON.parse(text));
}

/** Replaces what the file says about the same parts. Returns all results, in the order of `parts`. */
export function keepResults(
  folder: string,
  results: readonly PartResult[],
  parts: readonly string[],
): readonly PartResult[] {
  const kept = new Map([...readResults(folder), ...results].map((result) => [result.part, result]));
  const all = parts.flatMap((part) => kept.get(part) ?? []);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, fileName), `${JSON.stringify(all, undefined, 1)}\n`);
  return all;
}
