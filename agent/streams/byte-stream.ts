// Sends blocks of bytes on the channel `stdout` of a stream, at the speed of the reader.
import { finished } from 'node:stream/promises';
import type { MultiplexedStream } from '../../protocol/streams/multiplexer.ts';
import type { StreamOutcome } from './stream-outcome.ts';

export interface ByteStreamPorts {
  readonly stream: MultiplexedStream;
  /** Tells the operator that the stream is served. */
  readonly opened: () => void;
  readonly signal: AbortSignal;
}

/** Resolves once all bytes were sent. Rejects with what the source throws. */
export async function serveBytes(
  source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  { stream, opened, signal }: ByteStreamPorts,
): Promise<StreamOutcome> {
  const output = stream.outgoing('stdout');
  const leave = () => output.destroy();
  signal.addEventListener('abort', leave, { once: true });
  let isOpened = false;
  for await (const block of source) {
    // A source that fails to open rejects with its first block.
    if (!isOpened) opened();
    isOpened = true;
    if (!output.write(block)) await roomIn(output);
    if (output.destroyed) return {};
  }
  if (!isOpened) opened();
  output.end();
  await finished(output).catch(() => undefined);
  return {};
}

function roomIn(output: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      output.off('drain', done);
      output.off('close', done);
      resolve();
    };
    output.on('drain', done);
    output.on('close', done);
  });
}
