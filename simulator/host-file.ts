// `host.yaml`: the description and behaviour of a simulated Windows node. Members that `lcow-agent document` reads from
// the same file (design §8) have the same names.
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { fileContent } from './wire/file-content.ts';
import { simulatedNetwork } from './wire/network.ts';
import { scriptRule } from './wire/script.ts';

const milliseconds = z.int().min(0).max(3_600_000);

const size = z.int().min(0);

const timing = z.strictObject({
  createMilliseconds: milliseconds.default(10),
  startMilliseconds: milliseconds.default(20),
  /** From the start to the guest's first connection. */
  bootMilliseconds: milliseconds.default(250),
  /** From the guest's entropy to its service. */
  initMilliseconds: milliseconds.default(50),
  exitMilliseconds: milliseconds.default(20),
  /** Pause between two lines of an idle guest; 0 = no lines. */
  logIntervalMilliseconds: milliseconds.default(1000),
  /** Pause between two attempts of a guest to connect to its host (hcs-runtime E.1, F.3). */
  redialMilliseconds: milliseconds.min(1).default(100),
});
export type HostTiming = z.infer<typeof timing>;

/** The Host Networking Service. */
const hns = z.strictObject({
  isInstalled: z.boolean().default(true),
  version: z
    .string()
    .regex(/^\d{1,4}\.\d{1,4}$/)
    .default('13.2'),
  networks: z.array(simulatedNetwork).max(256).default([]),
});

export const simulatedHostFile = z.strictObject({
  architecture: z.enum(['amd64', 'arm64']).default('amd64'),
  build: z.int().min(0).max(0xffff),
  logicalProcessors: z.int().min(1).max(2048),
  memoryInMB: z.int().min(1).default(16_384),
  /** Absent = one node with all memory and processors. */
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
  /** Path to size in bytes, or to an object with `size` and optionally `content`. */
  files: z.record(z.string(), z.union([size, z.strictObject({ size, content: fileContent })])).default({}),
  /** Links: paths of junctions, symbolic links and 8.3 names, with their targets. */
  links: z.record(z.string(), z.string()).default({}),
  hns: hns.prefault({}),
  timing: timing.prefault({}),
  script: z.array(scriptRule).default([]),
});
export type SimulatedHostFile = z.infer<typeof simulatedHostFile>;

export async function readHostFile(path: string): Promise<SimulatedHostFile> {
  const result = simulatedHostFile.safeParse(parse(await readFile(path, 'utf8')));
  if (!result.success) throw new Error(`${path}: ${z.prettifyError(result.error)}`);
  return result.data;
}
