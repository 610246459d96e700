// How the host connects to a port of a guest over the guest's one socket. It is the protocol of the emulated device of
// real guests (vhost-device-vsock): the host writes `CONNECT <port>` and a line feed, and the answer is a line that
// begins with `OK`. Without a listener in the guest, the connection ends without an answer. After these lines the bytes
// are those of the connection.
import type { Duplex } from 'node:stream';

const mostLineBytes = 32;
const lineFeed = 10;

export function connectLine(port: number): string {
  return `CONNECT ${port}\n`;
}

export const acceptedLine = 'OK 1\n';

/** The port that a first line asks for. */
export function portOf(line: string): number | undefined {
  const digits = /^CONNECT (\d{1,10})$/.exec(line)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export function isAccepted(line: string): boolean {
  return line.startsWith('OK');
}

/**
 * Reads the first line, without its line feed; the stream keeps the bytes after it. Undefined when the stream ends first
 * or the line is too long.
 */
export function firstLine(stream: Duplex): Promise<string | undefined> {
  return new Promise((resolve) => {
    let read = Buffer.alloc(0);
    const done = (text: string | undefined) => {
      stream.off('readable', look);
      for (const event of ['end', 'close'] as const) stream.off(event, ended);
      resolve(text);
    };
    const ended = () => done(undefined);
    const look = () => {
      read = Buffer.concat([read, ...readyOf(stream)]);
      const end = read.indexOf(lineFeed);
      if (end === -1 && read.length <= mostLineBytes) return;
      const isLine = end !== -1 && end <= mostLineBytes;
      if (isLine && end + 1 < read.length) stream.unshift(read.subarray(end + 1));
      done(isLine ? read.toString('latin1', 0, end) : undefined);
    };
    stream.on('readable', look);
    for (const event of ['end', 'close'] as const) stream.once(event, ended);
  });
}

function* readyOf(stream: Duplex): Iterable<Buffer> {
  for (let bytes: Buffer | null = stream.read(); bytes !== null; bytes = stream.read()) yield bytes;
}
