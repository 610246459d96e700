// A lock that is a name of the system: a pipe of Windows, or an abstract socket of Linux. It goes with its process.
import { connect, createServer } from 'node:net';
import type { HeldLock } from '../node/state-storage.ts';

export function tryListen(name: string): Promise<HeldLock | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(undefined);
      else reject(error);
    });
    server.listen(name, () => {
      server.unref();
      resolve({ release: () => server.close() });
    });
  });
}

/** Whatever it answers, it is there. */
export function isListening(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(name, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ENOENT'));
  });
}
