// One agent a node (design §8). Each lock is taken back by the system when its holder dies, however it dies, and none can be
// taken by another user of the node: on Windows a file of the state folder, which is for SYSTEM and Administrators, and the
// name of a pipe that only Administrators can make, since two agents of one node may have two folders. A second agent waits.
import { createHash } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { type Clock, delay } from '../../runtime/clock.ts';

const retryMilliseconds = 1_000;
const lockFile = 'agent.lock';
/** Windows lets nobody else make a pipe below it. */
const nodePipe = '\\\\.\\pipe\\ProtectedPrefix\\Administrators\\lcow-agent';

export interface InstanceLock {
  release(): void;
}

/** Undefined while somebody else has it. */
type TryLock = () => Promise<InstanceLock | undefined>;

/** Resolves once this process is the only one that holds the state folder, and the node. */
export async function acquireInstanceLock(
  stateDir: string,
  clock: Clock,
  logger: Logger,
  signal: AbortSignal,
): Promise<InstanceLock> {
  const held: InstanceLock[] = [];
  const release = () => {
    for (const lock of held.splice(0)) lock.release();
  };
  let isWaiting = false;
  const locks = locksOf(stateDir, logger);
  try {
    while (held.length < locks.length) {
      const lock = await locks[held.length]?.();
      if (lock !== undefined) {
        held.push(lock);
        continue;
      }
      if (!isWaiting) logger.warn({ stateDir }, 'another agent runs on this node; waiting until it ends');
      isWaiting = true;
      await delay(clock, retryMilliseconds, signal);
    }
  } catch (error) {
    release();
    throw error;
  }
  return { release };
}

function locksOf(stateDir: string, logger: Logger): readonly TryLock[] {
  if (process.platform === 'win32') return [() => lockStateFolder(stateDir), () => lockNode(logger)];
  // Hosts elsewhere are simulated, many on one machine.
  const digest = createHash('sha256').update(stateDir).digest('hex').slice(0, 16);
  return [() => tryListen(`\0lcow-agent-${digest}`)];
}

async function lockStateFolder(stateDir: string): Promise<InstanceLock | undefined> {
  const { openExclusively } = await import('../windows/exclusive-file.ts');
  const file = openExclusively(join(stateDir, lockFile));
  return file && { release: () => file.close() };
}

/** An account that is no Administrator cannot make the pipe, and nobody else can: then the folder has to do. */
async function lockNode(logger: Logger): Promise<InstanceLock | undefined> {
  const lock = await tryListen(nodePipe);
  if (lock !== undefined || (await exists(nodePipe))) return lock;
  logger.warn({ pipe: nodePipe }, 'this account cannot keep a second agent with another state folder off the node');
  return { release: () => undefined };
}

function tryListen(name: string): Promise<InstanceLock | undefined> {
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

/** Whatever a pipe answers, it is there. */
function exists(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(name, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ENOENT'));
  });
}
