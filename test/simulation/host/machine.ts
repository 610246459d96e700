// A simulated host from one power-on to the next loss of power: its compute service, with the systems and guests, and
// the agents' processes that are connected to it.
import type { RuntimeId, SystemId } from '../../../agent/node/backend.ts';
import type { DiskFiles } from '../../../simulator/guest/filesystem.ts';
import type { SimulatedHostFile } from '../../../simulator/host-file.ts';
import type { FileTable } from '../../../simulator/service/file-table.ts';
import { SimulatedNode } from '../../../simulator/service/node.ts';
import { Process } from '../process.ts';
import type { World } from '../world.ts';
import { ServiceConnection } from './connection.ts';
import { FaultSteps } from './fault-steps.ts';
import type { FaultDraws } from './faults.ts';
import { GuestPorts } from './guest-ports.ts';
import { ScheduledFaults } from './scheduled-faults.ts';

export interface MachineOptions {
  readonly world: World;
  readonly name: string;
  readonly host: SimulatedHostFile;
  readonly draws: FaultDraws;
  readonly latency: () => number;
  readonly resets: () => boolean;
  readonly randomGuid: () => string;
  /** The guest of the system has come up. */
  readonly guestUp: (system: string) => void;
  /** What survives a loss of power. */
  readonly files: () => FileTable;
  readonly disks: Map<string, DiskFiles>;
}

export class Machine {
  readonly node: SimulatedNode;
  readonly steps: FaultSteps;
  readonly ports: GuestPorts;
  readonly #options: MachineOptions;
  readonly #power: Process;
  readonly #connections = new Map<Process, ServiceConnection>();
  readonly #processes = new Set<Process>();
  readonly #scheduled: ScheduledFaults;
  readonly #startedAt: number;

  constructor(options: MachineOptions) {
    const { disks, draws, files, guestUp, host, latency, name, randomGuid, resets, world } = options;
    this.#options = options;
    this.#startedAt = world.elapsed;
    this.#power = new Process(world, `host ${name}`);
    const { clock } = this.#power;
    this.ports = new GuestPorts({ world, source: `sockets of ${name}`, latency, resets });
    this.steps = new FaultSteps({
      draws,
      clock,
      starting: (system) => this.#scheduled.started(system),
      guestUp,
    });
    this.node = new SimulatedNode({
      host,
      script: this.steps,
      clock,
      files,
      dial: (vm: RuntimeId, port: number) => this.ports.dial(vm, port),
      randomGuid,
      disks,
    });
    this.#scheduled = new ScheduledFaults({
      clock,
      draws,
      node: this.node,
      bootFiles: { folder: host.bootFilesPath, table: files },
      restartService: () => this.restartService(),
    });
  }

  /** In milliseconds. */
  get uptime(): number {
    return this.#options.world.elapsed - this.#startedAt;
  }

  /** Connects a process to the compute service. */
  connect(process: Process): ServiceConnection {
    const { draws, latency, name } = this.#options;
    const connection = new ServiceConnection({
      process,
      node: this.node,
      draws,
      source: `calls of ${process.name} to ${name}`,
      latency,
      ended: (system: SystemId) => this.steps.ended(system),
    });
    this.#connections.set(process, connection);
    this.#processes.add(process);
    process.onDeath(() => {
      this.#connections.delete(process);
      this.#processes.delete(process);
    });
    return connection;
  }

  /** The clients of the compute service lose their handles, and its systems stay. */
  restartService(): void {
    for (const connection of this.#connections.values()) connection.forget();
    this.#connections.clear();
  }

  /** Everything that runs on the host is gone. */
  losePower(): void {
    this.#power.die();
    this.#scheduled.restore();
    for (const process of [...this.#processes]) process.die();
  }

  /** Nothing goes wrong any more by itself. */
  calm(): void {
    this.steps.release();
    this.#scheduled.restore();
  }
}
