// A lock that is a system-wide name: a pipe on Windows, or an abstract socket on Linux. The system releases it with its
// process.
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

/** Any answer shows that the name is in use. */
export function isListening(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(name, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ENOENT'));
  });
}
