// Pumps an accepted log connection through the parser until it ends (hcs-runtime D.2): a slow receiver slows the guest.
import type { Readable } from 'node:stream';
import { setImmediate as turnOfOthers } from 'node:timers/promises';
import { buffersPass } from '../../protocol/passing-buffers.ts';
import type { GuestLogRecord } from './log-record.ts';
import { type GuestLogCounts, type GuestLogEnd, type GuestLogOptions, GuestLogParser } from './logs.ts';

/** Errors that mean that the VM's end of the socket is gone, which is how most streams end (D.4). */
const disconnectCodes: ReadonlySet<string> = new Set(['ECONNRESET', 'ECONNABORTED', 'EPIPE']);

export type DeliverRecords = (records: readonly GuestLogRecord[]) => void | Promise<void>;

/** Resolves once the stream ended and its last record was delivered; rejects only with what `deliver` throws. */
export async function readGuestLog(
  stream: Readable,
  options: GuestLogOptions,
  deliver: DeliverRecords,
): Promise<GuestLogCounts> {
  const parser = new GuestLogParser(options);
  const chunks: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]();
  let end: GuestLogEnd | undefined;
  try {
    while (end === undefined) {
      const next = await nextChunk(chunks);
      if (next instanceof Uint8Array) buffersPass(next.length);
      const records = next instanceof Uint8Array ? parser.push(next) : parser.end(next);
      if (!(next instanceof Uint8Array)) end = next;
      if (records.length > 0) await deliver(records);
      // A socket that is full is read many times within one turn of the event loop: everything else would wait for that.
      await turnOfOthers();
    }
  } finally {
    stream.destroy();
  }
  return parser.counts;
}

async function nextChunk(chunks: AsyncIterator<Uint8Array>): Promise<Uint8Array | GuestLogEnd> {
  try {
    const { done, value } = await chunks.next();
    return done === true ? { kind: 'eof' } : value;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const isPremature = code === 'ERR_STREAM_PREMATURE_CLOSE';
    if (isPremature || disconnectCodes.has(code)) return { kind: 'disconnected' };
    return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
}
