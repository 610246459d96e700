// node test/golden/annotations.ts FILE…
// Runs files of annotation cases (README.md, annotations.json; a JSON array or JSON lines) and prints every difference.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { DefaultsHost } from '../../agent/document/defaults.ts';
import type { LinuxOptions } from '../../agent/document/options.ts';
import { type Reading, readAnnotations } from '../../annotations/given.ts';
import { optionsOf } from '../../annotations/options.ts';
import { ociSpec, runtimeOptions } from '../../annotations/spec.ts';
import { casesIn } from './case-file.ts';
import { type Difference, differences } from './difference.ts';
import { SimulatedFiles } from './simulated-files.ts';

const warning = z.strictObject({ message: z.string(), fields: z.record(z.string(), z.unknown()) });
type Warning = z.infer<typeof warning>;

const annotationCase = z.strictObject({
  name: z.string(),
  host: z.strictObject({
    arch: z.enum(['amd64', 'arm64']),
    build: z.int(),
    logicalProcessors: z.int(),
    visibleProcessors: z.int().optional(),
  }),
  files: z.record(z.string(), z.union([z.int(), z.bigint().transform(Number)])),
  spec: ociSpec,
  runtimeOptions: runtimeOptions.strict().optional(),
  expect: z.strictObject({
    options: z.record(z.string(), z.unknown()).optional(),
    error: z.string().optional(),
    warnings: z.array(warning).default([]),
  }),
});
export type AnnotationCase = z.infer<typeof annotationCase>;

const namedCase = z.looseObject({ name: z.string() });
type NamedCase = z.infer<typeof namedCase>;

export function readAnnotationCases(text: string): AnnotationCase[] {
  return z.array(annotationCase).parse(casesIn(text));
}

export const caseIdentity = { id: 'vm-1', owner: 'containerd-shim-runhcs-v1.exe' } as const;

export function defaultsHostOf({ host }: AnnotationCase): DefaultsHost {
  return {
    architecture: host.arch,
    build: host.build,
    visibleProcessors: host.visibleProcessors ?? host.logicalProcessors,
    bootFolder: 'C:\\LinuxBootFiles',
    currentDirectory: 'C:\\',
  };
}

export function compareAnnotationCase(testCase: AnnotationCase): Difference[] {
  const reading = readAnnotations(testCase.spec, testCase.runtimeOptions);
  const { error, options, warnings } = testCase.expect;
  return differences(
    { ...(error === undefined ? { options } : { error }), warnings: comparable(warnings) },
    { ...outcomeOf(testCase, reading), warnings: comparable(reading.warnings) },
  );
}

function outcomeOf(testCase: AnnotationCase, reading: Reading): object {
  if (reading.kind === 'refused') return { error: reading.message };
  const files = new SimulatedFiles(testCase.files);
  return { options: shown(optionsOf(reading.given, caseIdentity, defaultsHostOf(testCase), files)) };
}

/** As the golden data show them. The last option exists in later revisions only. */
function shown({ UVMHashEnvelopeReferenceInfoFile, ...options }: LinuxOptions): unknown {
  const { HclEnabled = null, ResourcePartitionID = null } = options;
  return JSON.parse(
    JSON.stringify({ ...options, HclEnabled, ResourcePartitionID }, (_, value: unknown) =>
      typeof value === 'bigint' ? JSON.rawJSON(value.toString()) : value,
    ),
    exactly,
  );
}

function exactly(_key: string, value: unknown, { source = '' }: { readonly source?: string }): unknown {
  return typeof value === 'number' && !Number.isSafeInteger(value) ? BigInt(source) : value;
}

const serviceTableKey = 'io.microsoft.virtualmachine.hv-socket.service-table.';

/**
 * Without the cause of a warning, which is the original's own wording. The original reads services from an unordered
 * map, so the order of their warnings means nothing.
 */
function comparable(warnings: readonly { readonly message: string; readonly fields: object }[]): Warning[] {
  const all = warnings.map(({ fields, message }) => {
    const { error, ...facts }: Record<string, unknown> = { ...fields };
    return { message, fields: facts };
  });
  const isOfService = ({ fields }: Warning) => String(fields['oci-annotation']).startsWith(serviceTableKey);
  const keyOf = ({ fields }: Warning) => String(fields['oci-annotation']);
  const services = all.filter(isOfService).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  return all.map((each) => (isOfService(each) ? (services.shift() ?? each) : each));
}

function main(files: readonly string[]): void {
  if (files.length === 0) {
    process.stderr.write('usage: node test/golden/annotations.ts FILE…\n');
    process.exitCode = 2;
    return;
  }
  const cases = files.flatMap((file) => z.array(namedCase).parse(casesIn(readFileSync(file, 'utf8'))));
  const failed = cases.filter((testCase) => !report(testCase)).length;
  process.stdout.write(`${cases.length - failed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}

function report(testCase: NamedCase): boolean {
  const found = compareSafely(testCase);
  for (const { expected, got, path } of found) {
    process.stdout.write(`${testCase.name}\n  ${path}\n    expected ${expected}\n    got      ${got}\n`);
  }
  return found.length === 0;
}

/** A case that cannot be read, or makes the code throw, must not hide the others. */
function compareSafely(testCase: NamedCase): Difference[] {
  try {
    return compareAnnotationCase(annotationCase.parse(testCase));
  } catch (error) {
    return [{ path: 'thrown', expected: 'nothing', got: String(error) }];
  }
}

if (import.meta.main) main(process.argv.slice(2));
