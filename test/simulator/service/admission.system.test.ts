import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { HcsError } from '../../../agent/node/hcs-error.ts';
import { simulatedHostFile } from '../../../simulator/host-file.ts';
import { admit } from '../../../simulator/service/admission.ts';
import { computeSystem } from '../../../simulator/service/document-schema.ts';
import { parseExactJson } from '../../../simulator/service/exact-json.ts';
import { FileTable } from '../../../simulator/service/file-table.ts';
import { defaultHost, loggingCommand, ordinaryDocument } from '../../support/agent/simulated-node.ts';

const goldenCase = z.object({
  name: z.string(),
  host: z.object({ arch: z.enum(['amd64', 'arm64']), build: z.int(), logicalProcessors: z.int() }),
  files: z.record(z.string(), z.union([z.int(), z.bigint()])),
  expect: z.object({
    document: z.unknown().optional(),
    stagedCopies: z.array(z.object({ from: z.string(), to: z.string() })).default([]),
    grantedAll: z.array(z.string()).default([]),
  }),
});
type GoldenCase = z.infer<typeof goldenCase>;
const goldenFile = new URL('../../golden/hcs-documents.json', import.meta.url);
const documents = z
  .array(goldenCase)
  .parse(parseExactJson(readFileSync(goldenFile, 'utf8')))
  .filter((each) => each.expect.document !== undefined);

/** Nonsense values in golden cases. The builder does not check them, but HCS does. */
const nonsense: readonly RegExp[] = [
  /^VirtualMachine\.ComputeTopology\.Processor\.CpuGroup\.Id: must be a GUID$/,
  /^VirtualMachine\.Devices\.HvSocket\.HvSocketConfig\.ServiceTable\..*: Invalid key in record$/,
];

/** What HCS refuses in documents that the builder makes from options far out of bounds. */
const outOfBounds: readonly RegExp[] = [
  /Memory\.SizeInMB must be at least 1$/,
  /Processor\.Count (0|2147483648|4294967295) is not between 1 and \d+$/,
  /INVALID_JSON .* must be a GUID/,
  /INVALID_JSON .* Invalid key in record/,
  // Cases in which the check of the file fails, but not with "not found".
  /'C:\\LinuxBootFiles\\(secret|rootfs\.vhd)' not found$/,
];

/** The document as HCS gets it. The keys of assigned devices are random GUIDs, shown as `vmbus-0` and so on. */
function textOf(document: unknown): string {
  const text = JSON.stringify(document, (_, value) => (typeof value === 'bigint' ? `big:${value}` : value));
  const named = text.replace(/"vmbus-(\d+)"/g, (_, number: string) => {
    return `"00000000-0000-0000-0000-${number.padStart(12, '0')}"`;
  });
  return named.replace(/"big:(-?\d+)"/g, '$1');
}

/** The files of the case, including what its plan staged and granted. */
function filesOf({ files, expect: { stagedCopies, grantedAll } }: GoldenCase): FileTable {
  const entries = Object.entries(files).map(([path, size]) => ({ path, size: Number(size), isGranted: false }));
  const table = new FileTable(entries, 'C:\\LinuxBootFiles');
  for (const { from, to } of stagedCopies) table.copy(from, to);
  for (const path of grantedAll) table.grant(path);
  return table;
}

function refusalOf(testCase: GoldenCase): string | undefined {
  const { arch, build, logicalProcessors } = testCase.host;
  const host = simulatedHostFile.parse({
    architecture: arch,
    build,
    logicalProcessors: Math.min(Math.max(logicalProcessors, 1), 2048),
    isolation: ['SNP'],
  });
  try {
    admit(textOf(testCase.expect.document), {
      host,
      files: filesOf(testCase),
      freeMemoryInMB: Number.POSITIVE_INFINITY,
    });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

describe('the schema of documents', () => {
  it('accepts every golden document, apart from nonsense that a rule lists', () => {
    expect(documents).toHaveLength(273);
    const complaints = documents.flatMap(({ name, expect: { document } }) => {
      const result = computeSystem.safeParse(parseExactJson(textOf(document)));
      const issues = result.success ? [] : result.error.issues;
      const texts = issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
      return texts.filter((text) => !nonsense.some((rule) => rule.test(text))).map((text) => `${name}: ${text}`);
    });
    expect(complaints).toEqual([]);
  });

  it('accepts only documents that HCS can create, unless a value is out of bounds', () => {
    const refusals = documents.flatMap((testCase) => {
      const refusal = refusalOf(testCase);
      return refusal === undefined ? [] : [refusal];
    });
    expect(refusals.filter((text) => !outOfBounds.some((rule) => rule.test(text)))).toEqual([]);
    expect(refusals.length).toBeLessThan(20);
  });

  it('refuses an unknown member at any place', () => {
    for (const path of objectPaths(ordinaryDocument())) {
      const document: unknown = ordinaryDocument();
      Object.assign(at(document, path), { Nonsense: 1 });
      // Maps accept any key of the right form; this key does not have it.
      expect(computeSystem.safeParse(document).success, path.join('.')).toBe(false);
    }
  });
});

function objectPaths(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => objectPaths(inner, [...path, key]))];
}

function at(value: unknown, path: readonly string[]): object {
  const found = path.reduce((inner, key) => z.looseObject({}).parse(inner)[key], value);
  if (typeof found !== 'object' || found === null) throw new Error(path.join('.'));
  return found;
}

const host = simulatedHostFile.parse(defaultHost);
const files = new FileTable(
  Object.entries(defaultHost.files).map(([path, size]) => ({ path, size, isGranted: false })),
  host.bootFilesPath,
);

function refusal(document: unknown, changes: { readonly freeMemoryInMB?: number } = {}): HcsError {
  try {
    admit(JSON.stringify(document), { host, files, freeMemoryInMB: 8192, ...changes });
  } catch (error) {
    if (error instanceof HcsError) return error;
    throw error;
  }
  throw new Error('the document was accepted');
}

/** A copy with one value replaced. The value undefined removes the member. */
function changed(path: string, value: unknown): unknown {
  const document: unknown = structuredClone(ordinaryDocument());
  const names = path.split('.');
  Object.assign(at(document, names.slice(0, -1)), { [names.at(-1) ?? '']: value });
  return document;
}

describe('admission', () => {
  it('accepts the ordinary document', () => {
    const { boot, memoryInMB } = admit(JSON.stringify(ordinaryDocument({ command: loggingCommand })), {
      host,
      files,
      freeMemoryInMB: 8192,
    });
    expect(memoryInMB).toBe(1024);
    expect(boot).toEqual({
      entropyPort: 1,
      logPort: 109,
      relaysLog: false,
      isInBackground: false,
      runsGuestService: true,
    });
  });

  it.each([
    ['SchemaVersion', undefined, 'SchemaVersion'],
    ['SchemaVersion', { Major: 1, Minor: 0 }, 'SchemaVersion 1.0'],
    ['VirtualMachine.Chipset', {}, 'exactly one'],
    ['VirtualMachine.Chipset.Uefi', { BootThis: {} }, 'exactly one'],
    ['VirtualMachine.Chipset.LinuxKernelDirect', {}, 'KernelFilePath'],
    ['VirtualMachine.ComputeTopology.Memory.SizeInMB', '1024', 'SizeInMB'],
    ['VirtualMachine.ComputeTopology.Memory.SizeInMB', 1024.5, 'SizeInMB'],
    ['VirtualMachine.ComputeTopology.Processor.Count', -1, 'Count'],
    ['ShouldTerminateOnLastHandleClosed', 'true', 'ShouldTerminateOnLastHandleClosed'],
    ['VirtualMachine.Devices.Scsi', { a: { Attachments: { x: {} } } }, 'Attachments'],
  ])('refuses %s = %j as an invalid document', (path, value, mention) => {
    const error = refusal(changed(path, value));
    expect(error.hresult).toBe(0x8037_010d);
    expect(error.message).toContain(mention);
  });

  it('refuses invalid JSON', () => {
    expect(() => admit('{', { host, files, freeMemoryInMB: 8192 })).toThrow('INVALID_JSON');
  });

  it('refuses missing files', () => {
    const kernel = 'VirtualMachine.Chipset.LinuxKernelDirect.KernelFilePath';
    expect(refusal(changed(kernel, 'C:\\none')).message).toContain("'C:\\none' not found");
    const disks = { a: { Attachments: { 0: { Type: 'VirtualDisk', Path: 'C:\\none.vhd' } } } };
    expect(refusal(changed('VirtualMachine.Devices.Scsi', disks)).hresult).toBe(0x8007_0002);
  });

  it('refuses more processors than the host has, and more memory than is free', () => {
    const count = 'VirtualMachine.ComputeTopology.Processor.Count';
    expect(refusal(changed(count, 9)).message).toContain('between 1 and 8');
    expect(refusal(changed(count, 0)).hresult).toBe(0x8007_0057);
    expect(refusal(ordinaryDocument(), { freeMemoryInMB: 1023 }).isCapacity).toBe(true);
    const memory = 'VirtualMachine.ComputeTopology.Memory.SizeInMB';
    const tooBig = JSON.stringify(changed(memory, 1)).replace('"SizeInMB":1', '"SizeInMB":18446744073709551615');
    expect(() => admit(tooBig, { host, files, freeMemoryInMB: 8192 })).toThrow('18446744073709551615 MB');
    const beyond = tooBig.replace('18446744073709551615', '18446744073709551616');
    expect(() => admit(beyond, { host, files, freeMemoryInMB: 8192 })).toThrow('INVALID_JSON');
  });

  it('refuses an isolated VM on a host without isolation', () => {
    const security = { Isolation: { IsolationType: 'SecureNestedPaging' } };
    expect(refusal(changed('VirtualMachine.SecuritySettings', security)).message).toContain('SERVICE_NOT_AVAILABLE');
  });
});
