// A Windows host in the simulated world: its compute service, guests, sockets and files, over the code of the simulator,
// in this process. It outlives the agents that connect to it.
//
//   const host = new SimulatedHost({ world, name: 'host-1', host: simulatedHostFile.parse({ … }) });
//   const node = await host.connect(agentProcess);
//
// Each call of an agent passes through its process, so that the agent can die before the effect of a call, or before
// its answer. A process that dies loses its listeners, connections and handles. The state of an agent and the lock of its
// node are on a disk (`SimulatedStorage`).
import type { RuntimeId, SystemId, SystemState } from '../../../agent/node/backend.ts';
import type { AgentNode } from '../../../agent/node/node.ts';
import { ownerTag, uidOf } from '../../../agent/node/system-id.ts';
import type { DiskFiles } from '../../../simulator/guest/filesystem.ts';
import type { SimulatedHostFile } from '../../../simulator/host-file.ts';
import { HostFiles } from '../../../simulator/service/host-files.ts';
import type { SystemDetail } from '../../../simulator/wire/rpc.ts';
import type { ConnectionsOfPaused, GuestEnd, Visiting } from '../../../simulator/wire/script.ts';
import { noNetworks } from '../../support/agent/no-networks.ts';
import { never, type Process } from '../process.ts';
import type { World } from '../world.ts';
import { WorldBackend } from './backend.ts';
import { consoleReader } from './console.ts';
import { FaultDraws, type HostFault, type HostFaults } from './faults.ts';
import { Machine } from './machine.ts';
import { floodLog } from './scheduled-faults.ts';
import { SystemCounters, type SystemCounts } from './system-counters.ts';
import { WorldWindowsHost } from './windows-host.ts';

export interface HostSettings {
  readonly faults?: Partial<HostFaults>;
  /** The longest time that a call, bytes or an event take in one direction when nothing goes wrong. */
  readonly latencyMilliseconds?: number;
}

export interface SimulatedHostOptions {
  readonly world: World;
  readonly name: string;
  readonly host: SimulatedHostFile;
  readonly settings?: HostSettings;
  /** Called for each fault that happens. */
  readonly injected?: (fault: HostFault) => void;
}

/** A system as judges see it. */
export interface LivingSystem {
  readonly id: string;
  /** Absent = not a system of ours. */
  readonly uid: string | undefined;
  readonly runtimeId: RuntimeId | undefined;
  readonly state: SystemState;
}

export class SimulatedHost {
  readonly name: string;
  readonly files: HostFiles;
  readonly #draws: FaultDraws;
  readonly #latency: () => number;
  readonly #counters = new SystemCounters();
  /** Parsed ids, because judges look after each event. */
  readonly #uids = new Map<string, string | undefined>();
  readonly #makeMachine: () => Machine;
  #machine: Machine;
  readonly #bootFiles: string;
  /** Systems of others that have to stay. */
  readonly #foreign = new Set<SystemId>();

  constructor(options: SimulatedHostOptions) {
    const { host, name, settings = {}, world, injected = () => undefined } = options;
    const { faults = {}, latencyMilliseconds = 5 } = settings;
    this.name = name;
    this.#bootFiles = host.bootFilesPath;
    this.#draws = new FaultDraws({ world, host: name, injected });
    this.#draws.faults = faults;
    const latency = world.chance(`${name}: latency`);
    this.#latency = () => latency.integer(latencyMilliseconds + 1);
    this.files = new HostFiles({
      host,
      script: { visit: (step, subject, signal) => this.#machine.steps.visit(step, subject, signal) },
      openFiles: () => this.#machine.node.openFiles(),
    });
    const [guids, resets] = [world.chance(`${name}: ids of VMs`), world.chance(`${name}: resets`)];
    const disks = new Map<string, DiskFiles>();
    this.#makeMachine = () =>
      new Machine({
        world,
        name,
        host,
        draws: this.#draws,
        latency: this.#latency,
        resets: () => resets.happens(0.5),
        randomGuid: () => guids.uuid(),
        files: () => this.files.table,
        disks,
        guestUp: (system) => this.#counters.guestUp(system),
      });
    this.#machine = this.#makeMachine();
  }

  /** Connects an agent's process. */
  connect(process: Process): Promise<AgentNode> {
    return process.call('connect', `calls of ${process.name} to ${this.name}`, this.#latency, () =>
      this.#connect(process),
    );
  }

  #connect(process: Process): AgentNode {
    const machine = this.#machine;
    const connection = machine.connect(process);
    const files = this.files.with(whileAlive(process, machine.steps));
    const backend = new WorldBackend({ connection, files, counters: this.#counters });
    const source = `files of ${process.name} on ${this.name}`;
    return {
      backend,
      host: new WorldWindowsHost(files, (name, effect) => process.call(name, source, this.#latency, effect)),
      sockets: machine.ports.socketsOf(process),
      readConsole: consoleReader(machine.node),
      networks: noNetworks,
      uptime: () => machine.uptime,
      close: () => backend.close(),
    };
  }

  // What goes wrong on request.

  /** Somebody else on the host creates a system, which stays until the host loses power. */
  async addForeign(id: SystemId): Promise<void> {
    await this.#machine.node.create(id, foreignDocument(this.#bootFiles), () => undefined);
    this.#foreign.add(id);
  }

  /** Ends everything that runs on the host, also the connected processes. Files stay. The host is up again at once. */
  powerLoss(): void {
    this.#machine.losePower();
    this.#foreign.clear();
    this.#machine = this.#makeMachine();
  }

  /** The clients of the compute service lose their handles, and its systems stay. */
  restartService(): void {
    this.#machine.restartService();
  }

  /** Has no effect on a system that does not run. */
  crashGuest(id: string, how: GuestEnd = 'crash'): void {
    this.#machine.node.find(id)?.guest?.end(how);
  }

  dropBridge(id: string): void {
    this.#machine.node.find(id)?.guest?.dropBridge();
  }

  floodLog(id: string, lines: number): void {
    const system = this.#machine.node.find(id);
    if (system !== undefined) floodLog(system, lines);
  }

  /** Pauses a running VM, as an administrator of the host could. */
  pause(id: string, connections: ConnectionsOfPaused = 'stay'): void {
    this.#machine.node.systemNamed(id).pause(connections);
  }

  resume(id: string): void {
    this.#machine.node.systemNamed(id).resume();
  }

  /** Changes which faults happen from now on. */
  setFaults(faults: Partial<HostFaults>): void {
    this.#draws.faults = faults;
  }

  /** From now on nothing goes wrong by itself: calls that hang return, and missing files are back. */
  calm(): void {
    this.setFaults({});
    this.#machine.calm();
  }

  // What judges see.

  /** All details, which takes a while. */
  systems(): readonly SystemDetail[] {
    return this.#machine.node.details();
  }

  /** How many systems there are, stopped ones included. Cheap enough to be asked after each event. */
  get size(): number {
    return this.#machine.node.size;
  }

  /** All systems that are not stopped. */
  living(): readonly LivingSystem[] {
    return this.#machine.node
      .list()
      .filter(({ state }) => state !== 'Stopped')
      .map(({ id, owner, runtimeId, state }) => ({
        id,
        uid: owner === ownerTag ? this.#uidOf(id) : undefined,
        runtimeId,
        state,
      }));
  }

  /** Systems of others that somebody has ended. */
  lostForeign(): readonly string[] {
    const living = new Set(this.living().map(({ id }) => id));
    return [...this.#foreign].filter((id) => !living.has(id));
  }

  #uidOf(id: string): string | undefined {
    if (!this.#uids.has(id)) this.#uids.set(id, uidOf(id));
    return this.#uids.get(id);
  }

  get counts(): ReadonlyMap<string, SystemCounts> {
    return this.#counters.counts;
  }

  /** The content of all disks that guests have had so far: path → names of files. */
  diskFiles(): Readonly<Record<string, readonly string[]>> {
    return this.#machine.node.diskFiles();
  }
}

/** A document of another program of the host. */
function foreignDocument(bootFiles: string): string {
  const command = ' panic=-1 quiet pci=off -- -e 1 /bin/vsockexec /bin/gcs -v4 -log-format json -loglevel info';
  return JSON.stringify({
    Owner: 'somebody-else',
    SchemaVersion: { Major: 2, Minor: 1 },
    VirtualMachine: {
      StopOnReset: true,
      Chipset: {
        LinuxKernelDirect: {
          KernelFilePath: `${bootFiles}\\vmlinux`,
          InitRdPath: `${bootFiles}\\initrd.img`,
          KernelCmdLine: command,
        },
      },
      ComputeTopology: { Memory: { SizeInMB: 256, AllowOvercommit: true }, Processor: { Count: 1 } },
      Devices: {},
    },
  });
}

/** A process that dies while a call of it is slow takes the call with it: nothing is copied for it any more. */
function whileAlive(process: Process, steps: Visiting): Visiting {
  return {
    visit: async (...visited) => {
      const verdict = await steps.visit(...visited);
      return process.isAlive ? verdict : await never();
    },
  };
}
