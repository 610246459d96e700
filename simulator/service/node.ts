// The HCS of a simulated node: its compute systems, the handles on them, and the host resources that they use. Systems
// belong to the node, not to its clients (design §8): when its last handle is closed, a system whose document says so
// ends; any other stays. A stopped system is listed as long as it has a handle.
import { randomUUID } from 'node:crypto';
import type { RuntimeId, SystemExit, SystemId, SystemProperties, SystemStatistics } from '../../agent/node/backend.ts';
import { HcsError, hresult } from '../../agent/node/hcs-error.ts';
import { type Clock, delay } from '../../runtime/clock.ts';
import { DiskFiles } from '../guest/filesystem.ts';
import type { SimulatedHostFile } from '../host-file.ts';
import { guestDoorPath, guestSocketPath } from '../wire/guest-address.ts';
import { type Dial, dialPath } from '../wire/guest-dial.ts';
import { runtimeId, type SystemDetail } from '../wire/rpc.ts';
import type { Step, Visiting } from '../wire/script.ts';
import { admit } from './admission.ts';
import { applyChange, type ChangeRoom } from './changes.ts';
import type { FileTable } from './file-table.ts';
import { SimulatedSystem } from './system.ts';

/** Called once for each handle when the system ends. */
export type Ended = (handle: number, exit: SystemExit) => void;

interface Handle {
  readonly system: SimulatedSystem;
  readonly ended: Ended;
}

export interface NodeOptions {
  readonly host: SimulatedHostFile;
  readonly script: Visiting;
  readonly clock: Clock;
  readonly files: () => FileTable;
  readonly consolePath?: (pipe: string) => string;
  /** How guests connect to their host; absent = through Unix sockets in the folder that the agent names. */
  readonly dial?: DialHost;
  /** Makes the address of a VM. */
  readonly randomGuid?: () => string;
  /** The disks that guests of this node have had before: path → files. */
  readonly disks?: Map<string, DiskFiles>;
}

/** Connects to a port of the host as the guest of that VM. */
export type DialHost = (vm: RuntimeId, port: number) => ReturnType<Dial>;

/** The names of the calls in errors of HCS (hcs-runtime A.1). */
const operations = {
  create: 'HcsCreateComputeSystem',
  open: 'HcsOpenComputeSystem',
  start: 'HcsStartComputeSystem',
  shutdown: 'HcsShutDownComputeSystem',
  terminate: 'HcsTerminateComputeSystem',
  modify: 'HcsModifyComputeSystem',
  properties: 'HcsGetComputeSystemProperties',
  enumerate: 'HcsEnumerateComputeSystems',
  processorTopology: 'HcsGetServiceProperties',
} as const satisfies Partial<Record<Step, string>>;
type NodeStep = keyof typeof operations;

export class SimulatedNode {
  /** The folder with the agent's sockets; absent = no agent has connected yet. */
  socketDirectory: string | undefined;
  readonly #options: NodeOptions;
  readonly #systems = new Map<SystemId, SimulatedSystem>();
  readonly #handles = new Map<number, Handle>();
  /** Path of a disk → its files. */
  readonly #disks: Map<string, DiskFiles>;
  #nextHandle = 1;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.#disks = options.disks ?? new Map();
  }

  async processorTopology(): Promise<{ logicalProcessorCount: number }> {
    await this.#pass('processorTopology');
    return { logicalProcessorCount: this.#options.host.logicalProcessors };
  }

  async enumerate(): Promise<readonly SystemProperties[]> {
    await this.#pass('enumerate');
    return this.list();
  }

  /** How many systems there are, stopped ones included. */
  get size(): number {
    return this.#systems.size;
  }

  systems(): Iterable<SimulatedSystem> {
    return this.#systems.values();
  }

  list(): readonly SystemProperties[] {
    return [...this.#systems.values()].map(propertiesOf);
  }

  /** Rejects with the signal's reason if the signal aborts before the system exists. */
  async create(id: SystemId, text: string, ended: Ended, signal?: AbortSignal): Promise<number> {
    await this.#pass('create', id, signal);
    const { clock, consolePath, dial, host, randomGuid = randomUUID, script } = this.#options;
    await delay(clock, host.timing.createMilliseconds, signal);
    if (this.#systems.has(id)) throw new HcsError(operations.create, hresult.alreadyExists, id);
    const admitted = admit(text, { host, files: this.#options.files(), freeMemoryInMB: this.#freeMemoryInMB() });
    const vm = runtimeId.parse(randomGuid());
    const system: SimulatedSystem = new SimulatedSystem({
      id,
      runtimeId: vm,
      text,
      admitted,
      timing: host.timing,
      ...(consolePath && { consolePath }),
      clock,
      script,
      // Guests that dial in another way are reached in another way, too.
      doorPath: () =>
        dial === undefined && this.socketDirectory !== undefined ? guestDoorPath(this.socketDirectory, vm) : undefined,
      dial: (port) => (dial ?? this.#dialSocket)(vm, port),
      diskFiles: (path) => this.#filesOf(path),
      onStopped: (exit) => this.#stopped(system, exit),
    });
    this.#systems.set(id, system);
    return this.#hold(system, ended);
  }

  /** No system exists yet, so nobody needs to be told. */
  async terminateCreation(id: SystemId): Promise<void> {
    await this.#pass('terminate', id);
  }

  async open(id: SystemId, ended: Ended): Promise<number> {
    await this.#pass('open', id);
    const system = this.#systems.get(id);
    if (system === undefined) throw new HcsError(operations.open, hresult.notFound, id);
    const handle = this.#hold(system, ended);
    if (system.exit !== undefined) ended(handle, system.exit);
    return handle;
  }

  async start(handle: number): Promise<void> {
    const system = this.#systemOf('start', handle);
    await this.#pass('start', system.id, system.ending);
    await system.start();
  }

  async shutDown(handle: number): Promise<void> {
    const system = this.#systemOf('shutdown', handle);
    await this.#pass('shutdown', system.id);
    system.shutDown();
  }

  async terminate(handle: number): Promise<void> {
    const system = this.#systemOf('terminate', handle);
    await this.#pass('terminate', system.id);
    system.terminate();
  }

  async modify(handle: number, text: string): Promise<void> {
    const system = this.#systemOf('modify', handle);
    await this.#pass('modify', system.id);
    const room: ChangeRoom = { files: this.#options.files(), freeMemoryInMB: this.#freeMemoryInMB() };
    applyChange(system, text, room);
  }

  async properties(handle: number): Promise<SystemProperties> {
    const system = this.#systemOf('properties', handle);
    await this.#pass('properties', system.id);
    return propertiesOf(system);
  }

  /** The same HCS call with another query. */
  async statistics(handle: number): Promise<SystemStatistics> {
    const system = this.#systemOf('properties', handle);
    await this.#pass('properties', system.id);
    return system.statistics();
  }

  /** Closes a handle, on request or because its client disconnected. */
  release(handle: number): void {
    const held = this.#handles.get(handle);
    this.#handles.delete(handle);
    if (held === undefined || this.#handlesOf(held.system) > 0) return;
    if (held.system.state === 'Stopped') this.#systems.delete(held.system.id);
    else if (held.system.terminatesWithLastHandle) held.system.terminate();
  }

  /** Drops a handle without closing it, as when the service restarts. */
  forget(handle: number): void {
    this.#handles.delete(handle);
  }

  find(id: string): SimulatedSystem | undefined {
    return this.#systems.values().find((each) => each.id === id);
  }

  systemNamed(id: string): SimulatedSystem {
    const system = this.find(id);
    if (system === undefined) throw new HcsError('control', hresult.notFound, id);
    return system;
  }

  openFiles(): readonly string[] {
    return [...this.#systems.values()].flatMap((system) => system.openFiles);
  }

  details(): readonly SystemDetail[] {
    return [...this.#systems.values()].map((system) => ({
      ...propertiesOf(system),
      document: system.text,
      handles: this.#handlesOf(system),
      memoryInMB: system.memoryInMB,
      processorLimits: system.processorLimits,
      cpuGroup: system.cpuGroup,
      disks: system.attachments.byPlace(),
      shares: system.shares.paths,
      terminatesWithLastHandle: system.terminatesWithLastHandle,
      exit: system.exit,
      guest: system.guest && {
        phase: system.guest.phase,
        entropyBytes: system.guest.entropyBytes,
        mounts: system.guest.resources.mounts.places,
        files: [...system.guest.resources.mounts.files],
        securityPolicy: system.guest.resources.securityPolicy?.EncodedSecurityPolicy,
        uvmReference: system.guest.resources.securityPolicy?.EncodedUVMReference,
        uvmHashEnvelopeReference: system.guest.resources.securityPolicy?.EncodedUVMHashEnvelopeReference,
      },
    }));
  }

  /** The content of all disks and folders that guests have had so far: path → names of files. */
  diskFiles(): Readonly<Record<string, string[]>> {
    return Object.fromEntries([...this.#disks].map(([path, files]) => [path, [...files]]));
  }

  /** A new disk starts with a file. */
  #filesOf(path: string): DiskFiles {
    const known = this.#disks.get(path) ?? new DiskFiles(['kept']);
    this.#disks.set(path, known);
    return known;
  }

  readonly #dialSocket: DialHost = (vm, port) => {
    const directory = this.socketDirectory;
    return directory === undefined ? Promise.resolve('refused') : dialPath(guestSocketPath(directory, vm, port));
  };

  #stopped(system: SimulatedSystem, exit: SystemExit): void {
    for (const [handle, held] of this.#handles) {
      if (held.system === system) held.ended(handle, exit);
    }
    if (this.#handlesOf(system) === 0) this.#systems.delete(system.id);
  }

  #hold(system: SimulatedSystem, ended: Ended): number {
    const handle = this.#nextHandle;
    this.#nextHandle += 1;
    this.#handles.set(handle, { system, ended });
    return handle;
  }

  #handlesOf(system: SimulatedSystem): number {
    return [...this.#handles.values()].filter((held) => held.system === system).length;
  }

  #systemOf(step: NodeStep, handle: number): SimulatedSystem {
    const held = this.#handles.get(handle);
    // ERROR_INVALID_HANDLE: the call raced with the closing of its handle (hcs-runtime A.6).
    if (held === undefined) throw new HcsError(operations[step], 0x8007_0006);
    return held.system;
  }

  #freeMemoryInMB(): number {
    const running = [...this.#systems.values()].filter((system) => system.state !== 'Stopped');
    return this.#options.host.memoryInMB - running.reduce((sum, system) => sum + system.memoryInMB, 0);
  }

  async #pass(step: NodeStep, system?: SystemId, signal?: AbortSignal): Promise<void> {
    const verdict = await this.#options.script.visit(step, system === undefined ? {} : { system }, signal);
    if (verdict.kind !== 'fail') return;
    throw new HcsError(operations[step], verdict.hresult ?? 0x8000_4005, verdict.message);
  }
}

function propertiesOf(system: SimulatedSystem): SystemProperties {
  return { id: system.id, owner: system.owner, state: system.state, runtimeId: system.runtimeId };
}
