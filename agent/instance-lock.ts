// One agent a node (design §8): the lock is a name that the system takes back when its holder dies, however it dies: a
// named pipe on Windows, an abstract socket elsewhere. A second agent waits.
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import type { Logger } from 'pino';
import { type Clock, delay } from '../protocol/clock.ts';

const retryMilliseconds = 1_000;

export interface InstanceLock {
  release(): void;
}

/** Resolves once this process is the only one that holds the state folder. */
export async function acquireInstanceLock(
  stateDir: string,
  clock: Clock,
  logger: Logger,
  signal: AbortSignal,
): Promise<InstanceLock> {
  const name = lockName(stateDir);
  for (let attempt = 0; ; attempt += 1) {
    const server = await tryListen(name);
    if (server !== undefined) return { release: () => server.close() };
    if (attempt === 0) logger.warn({ stateDir }, 'another agent runs on this node; waiting until it ends');
    await delay(clock, retryMilliseconds, signal);
  }
}

function lockName(stateDir: string): string {
  if (process.platform === 'win32') return '\\\\.\\pipe\\lcow-agent';
  const digest = createHash('sha256').update(stateDir).digest('hex').slice(0, 16);
  return `\0lcow-agent-${digest}`;
}

function tryListen(name: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(undefined);
      else reject(error);
    });
    server.listen(name, () => {
      server.unref();
      resolve(server);
    });
  });
}
