// JSON, one value for each line, over a stream. A line that is too long or not JSON ends the connection, because what
// follows cannot be trusted.
import type { Socket } from 'node:net';
import { ByteBuffer } from '../../agent/guest/byte-buffer.ts';

const lineFeed = 0x0a;

export function sendLine(socket: Socket, message: unknown): void {
  if (!socket.destroyed && socket.writable) socket.write(`${JSON.stringify(message)}\n`);
}

/** Calls `receive` with each message. If `receive` throws, the connection ends, too. */
export function readLines(socket: Socket, maxLineBytes: number, receive: (message: unknown) => void): void {
  const bytes = new ByteBuffer();
  let searched = 0;
  const takeLine = (): Buffer | undefined => {
    const view = bytes.view();
    const end = view.indexOf(lineFeed, searched);
    searched = end < 0 ? view.length : 0;
    if (end < 0) return undefined;
    const line = Buffer.from(view.subarray(0, end));
    bytes.consume(end + 1);
    return line;
  };
  socket.on('data', (chunk: Buffer) => {
    bytes.append(chunk);
    try {
      for (let line = takeLine(); line !== undefined; line = takeLine()) receive(JSON.parse(line.toString('utf8')));
      if (bytes.length > maxLineBytes) throw new Error(`a line is longer than ${maxLineBytes} bytes`);
    } catch (error) {
      socket.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  });
}
