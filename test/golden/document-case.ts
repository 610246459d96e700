// One case of hcs-documents.json (README.md, "A case") and the reader of files of them.
import { z } from 'zod';
import { linuxOptions } from '../../agent/document/options.ts';
import { objectTextAt, parseExact } from './exact-json.ts';

const texts = z.record(z.string(), z.string());

const documentCase = z.strictObject({
  name: z.string(),
  host: z.strictObject({
    arch: z.enum(['amd64', 'arm64']),
    build: z.int(),
    logicalProcessors: z.int(),
    visibleProcessors: z.int().optional(),
  }),
  files: z.record(z.string(), z.union([z.int(), z.bigint().transform(Number)])),
  updateBootFilesPath: z.array(z.string()).optional(),
  options: linuxOptions.partial().strict(),
  scrubLogs: z.boolean().optional(),
  logLevel: z.string().optional(),
  repeat: z.int().optional(),
  faults: z
    .strictObject({
      stat: texts.optional(),
      copy: texts.optional(),
      grantAll: texts.optional(),
      processorInfo: z.string().optional(),
      createSystem: z.string().optional(),
    })
    .optional(),
  expect: z.record(z.string(), z.unknown()),
});

export interface DocumentCase extends z.infer<typeof documentCase> {
  /** The expected document as it stands in the file; absent when the case has none or spreads over several lines. */
  readonly documentText: string | undefined;
}

/** A JSON array or JSON lines. */
export function readCases(text: string): DocumentCase[] {
  const lines = text
    .split('\n')
    .map((line) => line.trim().replace(/,$/, ''))
    .filter((line) => line !== '' && line !== '[' && line !== ']');
  const onePerLine = lines.every((line) => line.startsWith('{') && line.endsWith('}'));
  if (onePerLine) {
    return lines.map((line) => ({ ...documentCase.parse(parseExact(line)), documentText: rawDocument(line) }));
  }
  return z
    .array(documentCase)
    .parse(parseExact(text))
    .map((parsed) => ({ ...parsed, documentText: undefined }));
}

const beforeDocument = '"expect":{"document":';

function rawDocument(line: string): string | undefined {
  const at = line.indexOf(beforeDocument);
  return at < 0 ? undefined : objectTextAt(line, at + beforeDocument.length);
}
