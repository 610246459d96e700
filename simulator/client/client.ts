// The agent's side of a simulated node: HCS, the Windows host and the guest sockets over one connection to the node's
// service process. When the process goes away, the state of its systems is unknown (hcs-runtime A.2,
// ServiceDisconnect). The caller decides whether to connect again.
import { mkdir } from 'node:fs/promises';
import type {
  ComputeSystem,
  HcsBackend,
  ProcessorTopology,
  SystemEnd,
  SystemId,
  SystemProperties,
  SystemStatistics,
  UnfinishedSystem,
} from '../../agent/node/backend.ts';
import { HcsError } from '../../agent/node/hcs-error.ts';
import type { FileFact, OpenFile, VmGroupAccess, WindowsHost } from '../../agent/node/host.ts';
import type { HostFacts } from '../../protocol/messages.ts';
import { SimulatedGuestSockets } from './guest-sockets.ts';
import { SimulatedNetworks } from './networks.ts';
import { RpcClient } from './rpc-client.ts';

export interface SimulatedConnection {
  readonly backend: SimulatedBackend;
  readonly host: SimulatedHost;
  readonly sockets: SimulatedGuestSockets;
  readonly networks: SimulatedNetworks;
  close(): Promise<void>;
}

/** Guests connect to sockets in `socketDirectory`. Its path must be short, as for all Unix sockets. */
export async function connectSimulatedHost(socketPath: string, socketDirectory: string): Promise<SimulatedConnection> {
  await mkdir(socketDirectory, { recursive: true, mode: 0o700 });
  const ends = new HandleEnds();
  const client = await RpcClient.connect(socketPath, {
    ended: (handle, exit) => ends.settle(handle, { kind: 'exited', exit }),
    disconnected: () => ends.settleAll({ kind: 'serviceDisconnected' }),
  });
  await client.call('hello', { socketDirectory });
  return {
    backend: new SimulatedBackend(client, ends),
    host: new SimulatedHost(client),
    sockets: new SimulatedGuestSockets(socketDirectory),
    networks: new SimulatedNetworks(client),
    close: () => client.close(),
  };
}

/** How each handle ended. The end of a handle can arrive before its number is known. */
class HandleEnds {
  readonly #ends = new Map<number, PromiseWithResolvers<SystemEnd>>();
  #final: SystemEnd | undefined;

  of(handle: number): Promise<SystemEnd> {
    return this.#entry(handle).promise;
  }

  settle(handle: number, end: SystemEnd): void {
    this.#entry(handle).resolve(end);
  }

  settleAll(end: SystemEnd): void {
    this.#final = end;
    for (const entry of this.#ends.values()) entry.resolve(end);
    this.#ends.clear();
  }

  forget(handle: number): void {
    this.#ends.delete(handle);
  }

  #entry(handle: number): PromiseWithResolvers<SystemEnd> {
    const known = this.#ends.get(handle);
    if (known !== undefined) return known;
    const entry = Promise.withResolvers<SystemEnd>();
    if (this.#final === undefined) this.#ends.set(handle, entry);
    else entry.resolve(this.#final);
    return entry;
  }
}

export class SimulatedBackend implements HcsBackend {
  readonly #client: RpcClient;
  readonly #ends: HandleEnds;

  constructor(client: RpcClient, ends: HandleEnds) {
    this.#client = client;
    this.#ends = ends;
  }

  processorTopology(): Promise<ProcessorTopology> {
    return this.#client.call('processorTopology', {});
  }

  enumerate(): Promise<readonly SystemProperties[]> {
    return this.#client.call('enumerate', {});
  }

  async create(id: SystemId, document: string, begun?: (system: UnfinishedSystem) => void): Promise<ComputeSystem> {
    const creating = this.#client.call('create', { id, document });
    const cancel = async () => void (await this.#client.call('cancelCreation', { id }));
    begun?.({ terminate: cancel, close: cancel });
    const { handle } = await creating;
    return new SimulatedComputeSystem(this.#client, this.#ends, id, handle);
  }

  async open(id: SystemId): Promise<ComputeSystem> {
    const { handle } = await this.#client.call('open', { id });
    return new SimulatedComputeSystem(this.#client, this.#ends, id, handle);
  }

  async grantVmAccess(id: SystemId, path: string): Promise<void> {
    await this.#client.call('grantVmAccess', { id, path });
  }

  async revokeVmAccess(id: SystemId, path: string): Promise<void> {
    await this.#client.call('revokeVmAccess', { id, path });
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

class SimulatedComputeSystem implements ComputeSystem {
  readonly id: SystemId;
  readonly ended: Promise<SystemEnd>;
  readonly #client: RpcClient;
  readonly #ends: HandleEnds;
  readonly #handle: number;
  #closing: Promise<void> | undefined;

  constructor(client: RpcClient, ends: HandleEnds, id: SystemId, handle: number) {
    this.#client = client;
    this.#ends = ends;
    this.id = id;
    this.#handle = handle;
    this.ended = ends.of(handle);
  }

  async start(): Promise<void> {
    await this.#client.call('start', { handle: this.#handle });
  }

  async shutdown(): Promise<void> {
    await this.#client.call('shutdown', { handle: this.#handle });
  }

  async terminate(): Promise<void> {
    await this.#client.call('terminate', { handle: this.#handle });
  }

  async modify(document: string): Promise<void> {
    await this.#client.call('modify', { handle: this.#handle, document });
  }

  properties(): Promise<SystemProperties> {
    return this.#client.call('properties', { handle: this.#handle });
  }

  statistics(): Promise<SystemStatistics> {
    return this.#client.call('statistics', { handle: this.#handle });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#ends.settle(this.#handle, { kind: 'closed' });
    try {
      await this.#client.call('close', { handle: this.#handle });
    } catch (error) {
      // When the service is gone, it has already closed the handle.
      if (!(error instanceof HcsError && error.isServiceDisconnect)) throw error;
    } finally {
      // After the service has answered, no event comes for the handle any more.
      this.#ends.forget(this.#handle);
    }
  }
}

export class SimulatedHost implements WindowsHost {
  readonly #client: RpcClient;

  constructor(client: RpcClient) {
    this.#client = client;
  }

  facts(): Promise<HostFacts> {
    return this.#client.call('facts', {});
  }

  stat(path: string): Promise<FileFact> {
    return this.#client.call('stat', { path });
  }

  async finalPath(path: string): Promise<string | undefined> {
    const { file } = await this.#client.call('openFile', { path }).catch(() => ({ file: undefined }));
    return file?.path;
  }

  async withFile<T>(path: string, use: (file: OpenFile) => Promise<T>): Promise<T | undefined> {
    const { file } = await this.#client.call('openFile', { path });
    return file && use({ ...file, read: (offset, length) => this.#readPiece(file.path, offset, length) });
  }

  async #readPiece(path: string, offset: number, length: number): Promise<Buffer> {
    const { base64 } = await this.#client.call('readPiece', { path, offset, length });
    return Buffer.from(base64, 'base64');
  }

  async readFile(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
    const { base64 } = await this.#client.call('readFile', { path, maxBytes });
    return base64 === undefined ? undefined : Buffer.from(base64, 'base64');
  }

  async copyFile(from: string, to: string): Promise<void> {
    await this.#client.call('copyFile', { from, to });
  }

  async deleteFile(path: string): Promise<void> {
    await this.#client.call('deleteFile', { path });
  }

  async grantVmGroupAccess(path: string, access: VmGroupAccess = 'all'): Promise<void> {
    await this.#client.call('grantVmGroupAccess', { path, access });
  }
}
