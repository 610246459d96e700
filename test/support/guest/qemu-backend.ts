// An `HcsBackend` whose VMs are emulated, for tests with real guests and for demonstrations. It boots a document as far
// as an emulator can, and refuses what only HCS can do.
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { scsiControllerGuids } from '../../../agent/document/constants.ts';
import type {
  ComputeSystem,
  HcsBackend,
  RuntimeId,
  SystemEnd,
  SystemId,
  SystemProperties,
  SystemStatistics,
} from '../../../agent/node/backend.ts';
import { guestSocketPath } from '../../../simulator/wire/guest-address.ts';
import type { Bed } from './bed.ts';
import { type BootableDocument, bootableDocument, QemuMachine } from './qemu-machine.ts';

/** The socket that stands in for the named pipe of a serial port. */
export function emulatedConsolePath(folder: string, pipe: string): string {
  const short = createHash('sha256').update(pipe.toLowerCase()).digest('hex').slice(0, 12);
  return join(folder, `console-${short}`);
}

export interface QemuOptions {
  /** Receives the errors of the emulator. */
  readonly complain?: (text: string) => void;
  /** Maps a disk of the host to a local file. */
  readonly diskFile?: (path: string) => string;
}

interface QemuPlace extends Required<QemuOptions> {
  readonly bed: Bed;
  readonly folder: string;
}

const complainHere = (text: string) => process.stderr.write(text);
const asItIs = (path: string) => path;

export class QemuBackend implements HcsBackend {
  readonly #place: QemuPlace;
  readonly #systems = new Map<string, QemuSystem>();

  /** @param folder also contains the listeners; its path must be short */
  constructor(bed: Bed, folder: string, { complain = complainHere, diskFile = asItIs }: QemuOptions = {}) {
    this.#place = { bed, folder, complain, diskFile };
  }

  processorTopology(): ReturnType<HcsBackend['processorTopology']> {
    return Promise.resolve({ logicalProcessorCount: availableParallelism() });
  }

  async enumerate(): Promise<readonly SystemProperties[]> {
    return await Promise.all([...this.#systems.values()].map((system) => system.properties()));
  }

  create(id: SystemId, document: string): Promise<ComputeSystem> {
    if (this.#systems.has(id)) return Promise.reject(new Error(`${id} exists`));
    const system = new QemuSystem(id, bootableDocument.parse(JSON.parse(document)), this.#place);
    this.#systems.set(id, system);
    system.ended.then(() => this.#systems.delete(id));
    return Promise.resolve(system);
  }

  open(id: SystemId): Promise<ComputeSystem> {
    const system = this.#systems.get(id);
    return system === undefined ? Promise.reject(new Error(`there is no ${id}`)) : Promise.resolve(system);
  }

  /** Access to files is not restricted here. */
  grantVmAccess(): Promise<void> {
    return Promise.resolve();
  }

  revokeVmAccess(): Promise<void> {
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#systems.values()].map((system) => system.close()));
  }
}

const change = z.object({
  ResourcePath: z.string(),
  RequestType: z.string(),
  Settings: z.object({ Path: z.string().default(''), ReadOnly: z.boolean().default(false) }).prefault({}),
});
const attachmentPath = new RegExp(`^VirtualMachine/Devices/Scsi/${scsiControllerGuids[0]}/Attachments/(\\d+)$`);

class QemuSystem implements ComputeSystem {
  readonly id: SystemId;
  readonly ended: Promise<SystemEnd>;
  readonly #document: BootableDocument;
  readonly #place: QemuPlace;
  readonly #runtimeId = asRuntimeId(randomUUID());
  readonly #end: (end: SystemEnd) => void;
  #machine: QemuMachine | undefined;
  #state: SystemProperties['state'] = 'Created';

  constructor(id: SystemId, document: BootableDocument, place: QemuPlace) {
    this.id = id;
    this.#document = document;
    this.#place = place;
    const { promise, resolve } = Promise.withResolvers<SystemEnd>();
    this.ended = promise;
    this.#end = resolve;
  }

  async start(): Promise<void> {
    const { bed, complain, folder: shared } = this.#place;
    const folder = join(shared, this.#runtimeId.slice(0, 8));
    await mkdir(folder);
    const socketPrefix = guestSocketPath(shared, this.#runtimeId, 0).replace(/_0$/, '');
    const consolePath = (pipe: string) => emulatedConsolePath(shared, pipe);
    const files = { socketPrefix, folder, consolePath };
    this.#machine = await QemuMachine.start(bed, this.#document, files, complain);
    this.#state = 'Running';
    this.#machine.exited.then(async (exit) => {
      this.#state = 'Stopped';
      await rm(folder, { recursive: true, force: true });
      this.#end({ kind: 'exited', exit });
    });
  }

  /** HCS asks the guest's integration services, which this guest does not have. */
  shutdown(): Promise<void> {
    return Promise.reject(new Error('this guest cannot be asked to shut down'));
  }

  terminate(): Promise<void> {
    if (this.#machine === undefined) this.#stop();
    this.#machine?.kill();
    return Promise.resolve();
  }

  /** Disks on the first controller can be added and removed. */
  async modify(text: string): Promise<void> {
    const { RequestType, ResourcePath, Settings } = change.parse(JSON.parse(text));
    const lun = Number(attachmentPath.exec(ResourcePath)?.[1] ?? Number.NaN);
    if (Number.isNaN(lun) || this.#machine === undefined) {
      throw new Error(`an emulated machine cannot be changed while it runs: ${ResourcePath}`);
    }
    if (RequestType === 'Add')
      await this.#machine.plugDisk(lun, this.#place.diskFile(Settings.Path), Settings.ReadOnly);
    else await this.#machine.unplugDisk(lun);
  }

  /** Nothing is measured here. */
  statistics(): Promise<SystemStatistics> {
    return Promise.resolve({});
  }

  properties(): Promise<SystemProperties> {
    return Promise.resolve({
      id: this.id,
      owner: this.#document.Owner,
      state: this.#state,
      runtimeId: this.#runtimeId,
    });
  }

  /** This is the only handle: closing it ends the VM. */
  async close(): Promise<void> {
    await this.terminate();
    await this.ended;
  }

  #stop(): void {
    this.#state = 'Stopped';
    this.#end({ kind: 'exited', exit: { exitType: 'ForcedExit', status: 0 } });
  }
}

/** Created here, like HCS does for a system that it creates. */
function asRuntimeId(guid: string): RuntimeId {
  return guid as RuntimeId;
}
