// The service process of one simulated Windows node (design §8). It owns the node's files and compute systems, so that
// VMs outlive an agent process as they do in HCS. Clients connect over a Unix socket.
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import type { SimulatedHostFile } from '../host-file.ts';
import { simulatedConsolePath } from '../wire/console.ts';
import { Script } from '../wire/script.ts';
import { type CommonHandlers, Connection } from './connection.ts';
import { SimulatedHns } from './hns/hns.ts';
import { HostFiles } from './host-files.ts';
import { type DialHost, SimulatedNode } from './node.ts';
import { SavedFiles } from './saved-files.ts';

export interface SimulatedHostOptions {
  readonly socketPath: string;
  readonly host: SimulatedHostFile;
  readonly stateDirectory: string;
  readonly clock?: Clock;
  /** How guests connect to their host; absent = through Unix sockets in the folder that the agent names. */
  readonly dial?: DialHost;
}

export interface RunningHost {
  /** Cuts the node's power: its VMs are gone, its files stay. */
  close(): Promise<void>;
}

export async function runSimulatedHost(options: SimulatedHostOptions): Promise<RunningHost> {
  const { dial, host, socketPath, stateDirectory, clock = systemClock } = options;
  const script = new Script(clock, host.script);
  const saved = await SavedFiles.in(stateDirectory);
  const files: HostFiles = new HostFiles({
    host,
    entries: await saved.load(),
    script,
    openFiles: () => node.openFiles(),
    save: (entries) => saved.save(entries),
  });
  const node: SimulatedNode = new SimulatedNode({
    host,
    script,
    clock,
    files: () => files.table,
    consolePath: (pipe) => simulatedConsolePath(socketPath, pipe),
    ...(dial && { dial }),
  });
  const hns = new SimulatedHns({ ...host.hns, version: versionOf(host.hns.version), script, randomUUID });
  const connections = new Set<Connection>();
  const handlers = makeHandlers({ script, files, node, hns, connections });
  const server = createServer((socket) => {
    const connection = new Connection(socket, node, handlers);
    connections.add(connection);
    socket.once('close', () => connections.delete(connection));
  });
  await listen(server, socketPath);
  return {
    async close() {
      for (const connection of connections) connection.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

interface Parts {
  readonly script: Script;
  readonly files: HostFiles;
  readonly node: SimulatedNode;
  readonly hns: SimulatedHns;
  readonly connections: ReadonlySet<Connection>;
}

function makeHandlers(parts: Parts): CommonHandlers {
  const { script, files, node, connections } = parts;
  return {
    ...networkHandlers(parts.hns),
    hello: ({ socketDirectory }) => {
      node.socketDirectory = socketDirectory;
    },
    facts: () => files.facts(),
    stat: ({ path }) => files.stat(path),
    readFile: async ({ path, maxBytes }) => encoded(await files.read(path, maxBytes)),
    openFile: async ({ path }) => {
      const file = await files.open(path);
      return file === undefined ? {} : { file };
    },
    readPiece: async ({ path, offset, length }) => encoded(await files.readPiece(path, offset, length)),
    copyFile: ({ from, to }) => files.copy(from, to),
    deleteFile: ({ path }) => files.delete(path),
    grantVmGroupAccess: ({ path, access }) => files.grant(path, access),
    grantVmAccess: ({ id, path }) => files.grantTo(id, path),
    revokeVmAccess: ({ id, path }) => files.revokeFrom(id, path),
    processorTopology: () => node.processorTopology(),
    enumerate: () => node.enumerate(),
    start: ({ handle }) => node.start(handle),
    shutdown: ({ handle }) => node.shutDown(handle),
    terminate: ({ handle }) => node.terminate(handle),
    modify: ({ handle, document }) => node.modify(handle, document),
    properties: ({ handle }) => node.properties(handle),
    statistics: ({ handle }) => node.statistics(handle),
    script: ({ rule }) => ({ rule: script.add(rule) }),
    release: ({ rule }) => script.release(rule),
    visits: () => script.visits(),
    systems: () => node.details(),
    files: () => files.table.entries(),
    diskFiles: () => node.diskFiles(),
    endGuest: ({ system, how }) => node.systemNamed(system).guest?.end(how),
    pause: ({ system, connections }) => node.systemNamed(system).pause(connections),
    resume: ({ system }) => node.systemNamed(system).resume(),
    writeFile: ({ system, path }) => void node.systemNamed(system).guest?.resources.mounts.write(path),
    holdOpen: ({ system, path }) => void node.systemNamed(system).guest?.resources.mounts.open(path),
    dropBridge: ({ system }) => node.systemNamed(system).guest?.dropBridge(),
    writeLog: ({ system, text, times }) => node.systemNamed(system).guest?.writeLog(text, times),
    disconnectClients: () => {
      for (const connection of connections) if (connection.isAgent) connection.forget();
    },
  };
}

type NetworkHandlers = Pick<
  CommonHandlers,
  | Extract<keyof CommonHandlers, `${string}Endpoint` | `${string}Endpoints` | `${string}Network` | `${string}Networks`>
  | 'hnsVersion'
  | 'restartHns'
  | 'rebootHns'
>;

function networkHandlers(hns: SimulatedHns): NetworkHandlers {
  return {
    hnsVersion: () => hns.version(),
    listNetworks: async () => ({ text: await hns.listNetworks() }),
    readNetwork: async ({ id }) => ({ text: await hns.readNetwork(id) }),
    listEndpoints: async () => ({ text: await hns.listEndpoints() }),
    readEndpoint: async ({ id }) => ({ text: await hns.readEndpoint(id) }),
    createEndpoint: async ({ network, id, document }) => ({ text: await hns.createEndpoint(network, id, document) }),
    modifyEndpoint: ({ id, change }) => hns.modifyEndpoint(id, change),
    deleteEndpoint: ({ id }) => hns.deleteEndpoint(id),
    addNetwork: ({ network }) => hns.addNetwork(network),
    removeNetwork: ({ id }) => hns.removeNetwork(id),
    restartHns: () => hns.restart(),
    rebootHns: () => hns.reboot(),
  };
}

function versionOf(text: string) {
  const [major = 0, minor = 0] = text.split('.').map(Number);
  return { major, minor };
}

function encoded(bytes: Buffer | undefined): { readonly base64?: string } {
  return bytes === undefined ? {} : { base64: bytes.toString('base64') };
}

/** Removes the socket file of an earlier process, which would block a new one. */
async function listen(server: Server, path: string): Promise<void> {
  await rm(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve());
  });
}
