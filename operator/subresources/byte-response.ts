// Answers with bytes as they come: a log that is followed, a document. A client that is slow is waited for; one that goes
// away ends the stream. An answer that cannot be completed is broken off, so that nobody takes it for complete.
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
  // A follower wants to know at once that it is served.
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

/** What a line begins with, of whoever follows a log without positions. */
const position = /(?<![^\n])\d{1,15}\.\d{1,15} /g;
const positionCharacters = 32;

/** Takes the positions off the lines of a log. Of a line that does not end no more is kept than its position takes. */
export function withoutPositions(): Transform {
  /** One character a byte: what is cut off is ASCII, and the rest goes through as it is. */
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
