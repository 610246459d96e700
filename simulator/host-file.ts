// `host.yaml`: what a simulated Windows node is, and how it behaves. The members that `lcow-agent document` reads from
// the same file (design §8) have the same names.
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { fileContent } from './wire/file-content.ts';
import { scriptRule } from './wire/script.ts';

const milliseconds = z.int().min(0).max(3_600_000);

const size = z.int().min(0);

const timing = z.strictObject({
  createMilliseconds: milliseconds.default(10),
  startMilliseconds: milliseconds.default(20),
  /** From the start to the guest's first dial. */
  bootMilliseconds: milliseconds.default(250),
  /** From the guest's entropy to its service. */
  initMilliseconds: milliseconds.default(50),
  exitMilliseconds: milliseconds.default(20),
  /** Between two lines of a guest that has nothing to say; 0 = none. */
  logIntervalMilliseconds: milliseconds.default(1000),
  /** Between two attempts of a guest to dial its host (hcs-runtime E.1, F.3). */
  redialMilliseconds: milliseconds.min(1).default(100),
});
export type HostTiming = z.infer<typeof timing>;

export const simulatedHostFile = z.strictObject({
  architecture: z.enum(['amd64', 'arm64']).default('amd64'),
  build: z.int().min(0).max(0xffff),
  logicalProcessors: z.int().min(1).max(2048),
  memoryInMB: z.int().min(1).default(16_384),
  /** Absent = one node with everything. */
  numaNodes: z
    .array(z.strictObject({ number: z.int().min(0), logicalProcessors: z.int().min(0), memoryInMB: z.int().min(0) }))
    .max(64)
    .optional(),
  isolation: z.array(z.enum(['SNP'])).default([]),
  bootFilesPath: z.string().default('C:\\LinuxBootFiles'),
  /** For `lcow-agent document` only. */
  bundleDirectory: z.string().optional(),
  /** For `lcow-agent document` only. */
  owner: z.string().optional(),
  /** By their size; with `content` also what lies in them. */
  files: z.record(z.string(), z.union([size, z.strictObject({ size, content: fileContent })])).default({}),
  /** Other paths of files and folders, and where they lead: junctions, symbolic links, 8.3 names. */
  links: z.record(z.string(), z.string()).default({}),
  timing: timing.prefault({}),
  script: z.array(scriptRule).default([]),
});
export type SimulatedHostFile = z.infer<typeof simulatedHostFile>;

export async function readHostFile(path: string): Promise<SimulatedHostFile> {
  const result = simulatedHostFile.safeParse(parse(await readFile(path, 'utf8')));
  if (!result.success) throw new Error(`${path}: ${z.prettifyError(result.error)}`);
  return result.data;
}
