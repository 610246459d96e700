// Answers with bytes as they arrive: a log that is followed, or a document. A slow client slows the stream down, and a
// client that disconnects ends it. An answer that cannot be completed is aborted, so that nobody takes it for complete.
import type http from 'node:http';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BegunStream } from './machine-streams.ts';

export interface ByteResponse {
  readonly contentType: string;
  readonly transform?: Transform;
}

export async function answerWithBytes(
  { stream }: BegunStream,
  response: http.ServerResponse,
  { contentType, transform }: ByteResponse,
): Promise<void> {
  response.once('close', () => stream.close());
  response.writeHead(200, {
    'content-type': contentType,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  // Shows a follower at once that the log is served.
  response.flushHeaders();
  stream.stdin.end();
  const ends = { end: false } as const;
  try {
    if (transform === undefined) await pipeline(stream.stdout, response, ends);
    else await pipeline(stream.stdout, transform, response, ends);
    const ending = await stream.ending;
    if (ending.ok) response.end();
    else response.destroy();
  } catch {
    response.destroy();
  }
}

/** The position at the start of a line, which followers without `positions` do not receive. */
const position = /(?<![^\n])\d{1,15}\.\d{1,15} /g;
const positionCharacters = 32;

/** Removes the positions from the lines of a log. At most a position's length of an incomplete line is held back. */
export function withoutPositions(): Transform {
  /** Latin-1: the removed text is ASCII, and the other bytes stay unchanged. */
  let rest = '';
  let isWithinLine = false;
  const take = (text: string): string => {
    const from = isWithinLine ? text.indexOf('\n') + 1 : 0;
    if (isWithinLine && from === 0) return text;
    const last = text.lastIndexOf('\n') + 1;
    isWithinLine = text.length - last > positionCharacters;
    const end = isWithinLine ? text.length : last;
    rest = text.slice(end);
    return text.slice(0, from) + text.slice(from, end).replaceAll(position, '');
  };
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const text = rest + chunk.toString('latin1');
      rest = '';
      done(undefined, Buffer.from(take(text), 'latin1'));
    },
    flush(done) {
      done(undefined, Buffer.from(rest, 'latin1'));
    },
  });
}
