// The whole agent with a double for each library of Windows, as a separate process on Linux or Windows. Its arguments
// are the operator's URL, a folder, the doubles of computecore.dll and ws2_32.dll, and a loopback port. It reports each
// VM that starts to that port as JSON lines, so that the parent can play the guest. It answers each line from the
// parent with the causes that have woken the pump so far. It ends with the connection.
import '../../agent/thread-pool.ts';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import koffi from 'koffi';
import { pino } from 'pino';
import { z } from 'zod';
import { runAgent } from '../../agent/agent.ts';
import { defaultTimeouts } from '../../agent/bounds/timeouts.ts';
import { realOutside } from '../../agent/commands/outside.ts';
import type { ComputeSystem, HcsBackend } from '../../agent/node/backend.ts';
import type { WindowsHost } from '../../agent/node/host.ts';
import type { AgentNode } from '../../agent/node/node.ts';
import type { StateStorage } from '../../agent/node/state-storage.ts';
import { localStorage } from '../../agent/storage/local-storage.ts';
import { connectComputeCore } from '../../agent/windows/computecore/computecore.ts';
import { readConsole } from '../../agent/windows/console-pipe.ts';
import { HyperVSockets } from '../../agent/windows/hvsock/sockets.ts';
import type { HostFacts } from '../../protocol/messages.ts';
import { noNetworks } from '../support/agent/no-networks.ts';
import { wakingsOf } from '../support/doubles/winsock.ts';
import type { AgentEvent } from './agent-events.ts';

/** What Windows calls owners and locks is native code that wine does not run; this program has a folder of its own. */
const storage: StateStorage =
  process.platform === 'win32' ? { ...localStorage, openFolder: makeFolder, locks: () => [] } : localStorage;

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
}

const [, , url = '', folder = '', computecore = '', winsock = '', port = ''] = process.argv;
const parent = connect(Number(port), '127.0.0.1').setNoDelay();
const tell = (event: AgentEvent) => parent.write(`${JSON.stringify(event)}\n`);
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

/** Ordinary VMs need no copies and no grants. */
const notAsked = () => Promise.reject(new Error('this VM needs no files of its own'));

const host: WindowsHost = {
  facts: async () => facts,
  async finalPath(path) {
    return path;
  },
  async stat(path) {
    if (path.toLowerCase() === bootFolder.toLowerCase()) return { kind: 'folder' };
    const size = bootFiles.get(path.slice(bootFolder.length + 1));
    return size === undefined ? { kind: 'notFound' } : { kind: 'file', size };
  },
  withFile: notAsked,
  readFile: notAsked,
  copyFile: notAsked,
  deleteFile: async () => undefined,
  grantVmGroupAccess: notAsked,
};

/** Tells the parent, once the system runs, where its guest dials. */
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
      if (runtimeId !== undefined) tell({ system: system.id, runtimeId });
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
    networks: noNetworks,
    uptime: () => performance.now(),
    async close() {
      await sockets.close();
      await real.close();
    },
  };
}

/** Tells the parent at once about each VM that is assigned or runs. The wire reports it later. */
const transitions = new Writable({
  write(line: Buffer, _encoding, done) {
    const { event, level, time, to, uid } = transition.parse(JSON.parse(line.toString()));
    if (level >= 40) process.stderr.write(line);
    if (event === 'foundNothing' && uid !== undefined) tell({ uid, begun: time });
    if (to === 'Running' && uid !== undefined) tell({ uid, running: time });
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
const wakings = wakingsOf(koffi.load(winsock));
createInterface(parent).on('line', () => tell({ wakings: wakings() }));
parent.on('error', () => {}).once('close', () => stop.abort());
const tokenFile = join(folder, 'token');
await writeFile(tokenFile, 'token');
await runAgent(
  {
    version: '0',
    operator: { url, tokenFile, caFile: undefined },
    stateDir: join(folder, 'state'),
    stateFolder: 'C:\\ProgramData\\lcow',
    ownFolders: ['C:\\ProgramData\\lcow'],
    timeouts: defaultTimeouts,
    allowed: { paths: [], pipes: [], devices: [] },
    guestLog: {},
    healthPort: undefined,
  },
  realOutside({ storage, connect: connectNode }, pino({ level: 'debug', timestamp }, transitions)),
  stop.signal,
);
