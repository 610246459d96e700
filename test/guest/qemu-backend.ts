// An `HcsBackend` whose VMs are emulated machines: for the test bed and demonstrations. It boots what a document says
// as far as an emulator can; what only HCS does, it refuses.
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type {
  ComputeSystem,
  HcsBackend,
  RuntimeId,
  SystemEnd,
  SystemId,
  SystemProperties,
  SystemStatistics,
} from '../../agent/hcs/backend.ts';
import { guestSocketPath } from '../../agent/hcs/simulated/guest-address.ts';
import type { Bed } from './bed.ts';
import { type BootableDocument, bootableDocument, QemuMachine } from './qemu-machine.ts';

/** Where the serial port of an emulated machine is, in place of the named pipe of its document. */
export function emulatedConsolePath(folder: string, pipe: string): string {
  const short = createHash('sha256').update(pipe.toLowerCase()).digest('hex').slice(0, 12);
  return join(folder, `console-${short}`);
}

export class QemuBackend implements HcsBackend {
  readonly #bed: Bed;
  readonly #folder: string;
  readonly #complain: (text: string) => void;
  readonly #systems = new Map<string, QemuSystem>();

  /** The folder is where listeners are, too; its path must be short. */
  constructor(bed: Bed, folder: string, complain: (text: string) => void = (text) => process.stderr.write(text)) {
    this.#bed = bed;
    this.#folder = folder;
    this.#complain = complain;
  }

  processorTopology(): ReturnType<HcsBackend['processorTopology']> {
    return Promise.resolve({ logicalProcessorCount: availableParallelism() });
  }

  async enumerate(): Promise<readonly SystemProperties[]> {
    return await Promise.all([...this.#systems.values()].map((system) => system.properties()));
  }

  create(id: SystemId, document: string): Promise<ComputeSystem> {
    if (this.#systems.has(id)) return Promise.reject(new Error(`${id} exists`));
    const system = new QemuSystem(
      id,
      this.#bed,
      bootableDocument.parse(JSON.parse(document)),
      this.#folder,
      this.#complain,
    );
    this.#systems.set(id, system);
    system.ended.then(() => this.#systems.delete(id));
    return Promise.resolve(system);
  }

  open(id: SystemId): Promise<ComputeSystem> {
    const system = this.#systems.get(id);
    return system === undefined ? Promise.reject(new Error(`there is no ${id}`)) : Promise.resolve(system);
  }

  /** Files are not guarded here. */
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

class QemuSystem implements ComputeSystem {
  readonly id: SystemId;
  readonly ended: Promise<SystemEnd>;
  readonly #bed: Bed;
  readonly #document: BootableDocument;
  readonly #folder: string;
  readonly #complain: (text: string) => void;
  readonly #runtimeId = asRuntimeId(randomUUID());
  readonly #end: (end: SystemEnd) => void;
  #machine: QemuMachine | undefined;
  #state: SystemProperties['state'] = 'Created';

  constructor(id: SystemId, bed: Bed, document: BootableDocument, folder: string, complain: (text: string) => void) {
    this.id = id;
    this.#complain = complain;
    this.#bed = bed;
    this.#document = document;
    this.#folder = folder;
    const { promise, resolve } = Promise.withResolvers<SystemEnd>();
    this.ended = promise;
    this.#end = resolve;
  }

  async start(): Promise<void> {
    const folder = join(this.#folder, this.#runtimeId.slice(0, 8));
    await mkdir(folder);
    const socketPrefix = guestSocketPath(this.#folder, this.#runtimeId, 0).replace(/_0$/, '');
    const consolePath = (pipe: string) => emulatedConsolePath(this.#folder, pipe);
    const files = { socketPrefix, folder, consolePath };
    this.#machine = await QemuMachine.start(this.#bed, this.#document, files, this.#complain);
    this.#state = 'Running';
    this.#machine.exited.then(async (exit) => {
      this.#state = 'Stopped';
      await rm(folder, { recursive: true, force: true });
      this.#end({ kind: 'exited', exit });
    });
  }

  /** HCS asks the guest's own services, of which this guest has none. */
  shutdown(): Promise<void> {
    return Promise.reject(new Error('this guest cannot be asked to shut down'));
  }

  terminate(): Promise<void> {
    if (this.#machine === undefined) this.#stop();
    this.#machine?.kill();
    return Promise.resolve();
  }

  modify(): Promise<void> {
    return Promise.reject(new Error('an emulated machine cannot be changed while it runs'));
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

  /** The only handle: its end is the end of the machine. */
  async close(): Promise<void> {
    await this.terminate();
    await this.ended;
  }

  #stop(): void {
    this.#state = 'Stopped';
    this.#end({ kind: 'exited', exit: { exitType: 'ForcedExit', status: 0 } });
  }
}

/** Made here, as HCS makes it of a system that it creates. */
function asRuntimeId(guid: string): RuntimeId {
  return guid as RuntimeId;
}
