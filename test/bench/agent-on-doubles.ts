// The whole agent with a double for each library of Windows, in a process of its own: its arguments are the operator's URL,
// a folder, and the doubles of computecore.dll and ws2_32.dll. Guests are played by its parent, which is told of each VM that starts, over IPC.
import '../../agent/thread-pool.ts';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { z } from 'zod';
import { type AgentNode, runAgent } from '../../agent/agent.ts';
import type { ComputeSystem, HcsBackend } from '../../agent/hcs/backend.ts';
import { connectComputeCore } from '../../agent/hcs/computecore.ts';
import { defaultTimeouts } from '../../agent/timeouts.ts';
import { readConsole } from '../../agent/windows/console-pipe.ts';
import { HyperVSockets } from '../../agent/windows/hvsock/sockets.ts';
import type { WindowsHost } from '../../agent/windows-host.ts';
import type { HostFacts } from '../../protocol/messages.ts';

const [, , url = '', folder = '', computecore = '', winsock = ''] = process.argv;
const bootFolder = 'C:\\LinuxBootFiles';
const bootFiles = new Map([
  ['vmlinux', 1000],
  ['kernel', 1000],
  ['initrd.img', 2000],
]);

const facts: HostFacts = {
  osBuild: 20348,
  architecture: 'amd64',
  logicalProcessors: 64,
  memoryInMB: 1 << 20,
  numaNodes: [{ number: 0, logicalProcessors: 64, memoryInMB: 1 << 20 }],
  isolation: [],
  bootFiles: [{ path: bootFolder, files: [...bootFiles.keys()] }],
};

/** Nothing is copied or granted for ordinary VMs. */
const notAsked = () => Promise.reject(new Error('this VM needs no files of its own'));

const host: WindowsHost = {
  facts: async () => facts,
  async stat(path) {
    if (path.toLowerCase() === bootFolder.toLowerCase()) return { kind: 'folder' };
    const size = bootFiles.get(path.slice(bootFolder.length + 1));
    return size === undefined ? { kind: 'notFound' } : { kind: 'file', size };
  },
  readFile: notAsked,
  copyFile: notAsked,
  deleteFile: async () => undefined,
  grantVmGroupAccess: notAsked,
};

/** Tells the parent where the guest of each system dials, once it runs. */
function told(system: ComputeSystem): ComputeSystem {
  let runtimeId: string | undefined;
  return {
    id: system.id,
    ended: system.ended,
    async properties() {
      const properties = await system.properties();
      runtimeId = properties.runtimeId;
      return properties;
    },
    async start() {
      await system.start();
      process.send?.({ system: system.id, runtimeId });
    },
    shutdown: () => system.shutdown(),
    terminate: () => system.terminate(),
    modify: (document) => system.modify(document),
    statistics: () => system.statistics(),
    close: () => system.close(),
  };
}

async function connectNode(): Promise<AgentNode> {
  const real = connectComputeCore({ computecore, kernel32: computecore });
  const backend: HcsBackend = {
    processorTopology: () => real.processorTopology(),
    enumerate: () => real.enumerate(),
    create: async (id, document) => told(await real.create(id, document)),
    open: (id) => real.open(id),
    grantVmAccess: (id, path) => real.grantVmAccess(id, path),
    revokeVmAccess: (id, path) => real.revokeVmAccess(id, path),
    close: () => real.close(),
  };
  const sockets = await HyperVSockets.start(winsock);
  return {
    backend,
    host,
    sockets,
    readConsole,
    async close() {
      await sockets.close();
      await real.close();
    },
  };
}

/** The parent hears of each VM that is begun, and of each that runs, when it does: the wire tells it later. */
const transitions = new Writable({
  write(line: Buffer, _encoding, done) {
    const { event, level, time, to, uid } = transition.parse(JSON.parse(line.toString()));
    if (level >= 40) process.stderr.write(line);
    if (event === 'foundNothing') process.send?.({ uid, begun: time });
    if (to === 'Running') process.send?.({ uid, running: time });
    done();
  },
});
const transition = z.object({
  level: z.number(),
  time: z.number(),
  uid: z.string().optional(),
  event: z.string().optional(),
  to: z.string().optional(),
});
const timestamp = () => `,"time":${performance.timeOrigin + performance.now()}`;

const stop = new AbortController();
process.once('disconnect', () => stop.abort());
const tokenFile = join(folder, 'token');
await writeFile(tokenFile, 'token');
await runAgent(
  {
    version: '0',
    operator: { url, tokenFile, caFile: undefined },
    stateDir: join(folder, 'state'),
    stateFolder: 'C:\\ProgramData\\lcow',
    timeouts: defaultTimeouts,
    allowed: { paths: [], pipes: [], devices: [] },
    guestLog: {},
    healthPort: undefined,
  },
  connectNode,
  pino({ level: 'debug', timestamp }, transitions),
  stop.signal,
);
