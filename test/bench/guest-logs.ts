// How fast one core reads the log of a guest: lines as a guest service writes them, through the parser and into the
// lines that users see. Processor time is measured, so that other programs on the machine do not count.

import { logLine } from '../../agent/guest/log/line.ts';
import { GuestLogParser } from '../../agent/guest/log/parser.ts';

const lineCount = 300_000;
const chunkBytes = 64 * 1024;
const rounds = 3;
export const promisedLinesPerSecond = 200_000;

export interface GuestLogFigure {
  readonly name: string;
  readonly linesPerSecond: number;
  readonly megabytesPerSecond: number;
  /** Lines per second; absent where nothing is promised. */
  readonly promised?: number;
}

const kinds: readonly ((index: number) => string)[] = [
  (index) =>
    `{"facility":0,"flags":"-","level":"info","message":"eth0: link up\\\\x0a","msg":"kmsg read","priority":"Info","seq":${index},"time":"2024-01-15T10:30:00.123456789Z","timesincebootmicro":${index * 7}}`,
  (index) =>
    `{"cid":"6e7f3a1c0b5d","level":"debug","msg":"bridge: request \\u003c${index}\\u003e","pid":${index},"time":"2024-01-15T10:30:${String(index % 60).padStart(2, '0')}.5Z"}`,
  () =>
    '{"duration":"1.2ms","endTime":"2024-01-15T10:30:00.5Z","level":"info","msg":"Span","name":"opengcs::bridge::request","parentSpanID":"0000000000000000","spanID":"03e123","startTime":"2024-01-15T10:30:00Z","time":"2024-01-15T10:30:00Z","traceID":"0102"}',
];

export function benchGuestLogs(): readonly GuestLogFigure[] {
  const lines = Array.from({ length: lineCount }, (_, index) => kinds[index % kinds.length]?.(index) ?? '');
  const bytes = Buffer.from(`${lines.join('\n')}\n`);
  return [
    { ...measure('parsed', bytes, () => {}), promised: promisedLinesPerSecond },
    measure('parsed and written as lines', bytes, logLine),
  ];
}

function measure(
  name: string,
  bytes: Buffer,
  use: (record: ReturnType<GuestLogParser['push']>[number]) => unknown,
): GuestLogFigure {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round += 1) {
    const before = process.cpuUsage();
    const count = readAll(bytes, use);
    if (count !== lineCount) throw new Error(`${count} records of ${lineCount} lines`);
    best = Math.min(best, process.cpuUsage(before).user / 1e6);
  }
  return { name, linesPerSecond: lineCount / best, megabytesPerSecond: bytes.length / best / 1e6 };
}

function readAll(bytes: Buffer, use: (record: ReturnType<GuestLogParser['push']>[number]) => unknown): number {
  const parser = new GuestLogParser({ vmId: 'bench' });
  for (let start = 0; start < bytes.length; start += chunkBytes) {
    for (const record of parser.push(bytes.subarray(start, start + chunkBytes))) use(record);
  }
  parser.end({ kind: 'eof' });
  return parser.counts.records;
}
