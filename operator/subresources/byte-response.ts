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

/** Takes the positions off the lines of a log. */
export function withoutPositions(): Transform {
  let rest: Buffer = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const bytes = Buffer.concat([rest, chunk]);
      const end = bytes.lastIndexOf(0x0a) + 1;
      rest = bytes.subarray(end);
      // One character a byte: what is cut off is ASCII, and the rest goes through as it is.
      done(undefined, Buffer.from(bytes.toString('latin1', 0, end).replaceAll(/^\d+\.\d+ /gm, ''), 'latin1'));
    },
    flush(done) {
      done(undefined, rest);
    },
  });
}
