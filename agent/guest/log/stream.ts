// Reads an accepted log connection through the parser until it ends (hcs-runtime D.2), one slice in each of its turns.
// A slow receiver slows the guest down.
import type { Readable } from 'node:stream';
import { buffersPass } from '../../../runtime/passing-buffers.ts';
import { type GuestLogCounts, type GuestLogOptions, GuestLogParser } from './parser.ts';
import type { GuestLogRecord } from './record.ts';
import { LogSource } from './source.ts';
import { LogTurns, sharedSlice } from './turns.ts';

export type DeliverRecords = (records: readonly GuestLogRecord[]) => void | Promise<void>;

/** Resolves once the stream has ended and its last record was delivered. Rejects only with what `deliver` throws. */
export async function readGuestLog(
  stream: Readable,
  options: GuestLogOptions,
  deliver: DeliverRecords,
  turns: LogTurns = new LogTurns(),
): Promise<GuestLogCounts> {
  const parser = new GuestLogParser(options);
  const source = new LogSource(stream);
  let held = 0;
  const read = () => {
    const records = parser.next(turns.slice.steps);
    const isTooMuch = turns.held.isUsedUp && !parser.isBehind && parser.heldBytes > sharedSlice.bytes;
    const cut = isTooMuch ? parser.giveUp() : [];
    turns.held.change(parser.heldBytes - held);
    held = parser.heldBytes;
    return cut.length > 0 ? [...records, ...cut] : records;
  };
  // Delivery is part of the turn: handling a record takes as long as reading it.
  const hand = (records: readonly GuestLogRecord[]) => (records.length > 0 ? deliver(records) : undefined);
  try {
    for (;;) {
      const next = await source.next(turns.slice.bytes);
      if (!(next instanceof Uint8Array)) {
        await turns.take(() => hand(parser.end(next)));
        return parser.counts;
      }
      buffersPass(next.length);
      parser.add(next);
      do await turns.take(() => hand(read()));
      while (parser.isBehind);
    }
  } finally {
    turns.held.change(-held);
    stream.destroy();
  }
}
