// Joins two sockets into one connection, and reads the first line of a connection through a Unix socket, which names
// its destination.
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

const longestLine = 128;

export function join(one: Socket, other: Socket): void {
  one.on('error', () => other.destroy()).once('close', () => other.destroy());
  other.on('error', () => one.destroy()).once('close', () => one.destroy());
  one.pipe(other);
  other.pipe(one);
}

/** Reads the first line. The data after it stays in the socket. */
export async function readLine(socket: Socket): Promise<string> {
  let line = '';
  while (line.length < longestLine) {
    const byte: Buffer | null = socket.read(1);
    if (byte === null) await once(socket, 'readable', { signal: AbortSignal.timeout(5_000) });
    else if (byte[0] === 10) return line;
    else line += byte.toString('latin1');
    if (socket.destroyed) break;
  }
  throw new Error('no address');
}

/** Serves a Unix socket whose connections begin with a line. */
export async function serveLines(path: string, serve: (line: string, socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    readLine(socket).then(
      (line) => serve(line, socket),
      () => socket.destroy(),
    );
  });
  server.listen(path);
  await once(server, 'listening');
  return server;
}

export async function dialLine(path: string, line: string): Promise<Socket> {
  const socket = connect({ path, allowHalfOpen: true });
  await once(socket, 'connect');
  socket.write(`${line}\n`);
  return socket;
}
