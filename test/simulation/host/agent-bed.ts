// The VMs of one agent on a simulated host, without an operator: what the agent is told comes from the test. When the
// agent loses the compute service, its program ends, and the next one begins.
import { type Level, pino } from 'pino';
import { defaultTimeouts } from '../../../agent/bounds/timeouts.ts';
import { LogTurns } from '../../../agent/guest/log/turns.ts';
import { GuestLogFile } from '../../../agent/guest-log/file.ts';
import type { AgentNode } from '../../../agent/node/node.ts';
import type { StateStorage } from '../../../agent/node/state-storage.ts';
import { allowList } from '../../../agent/preparation/allow-list.ts';
import { admitDiskOf, admitShareOf, prepareBoot } from '../../../agent/preparation/prepare.ts';
import { FileJournal } from '../../../agent/vm/journal.ts';
import type { VirtualMachinePorts } from '../../../agent/vm/ports.ts';
import { Supervisor } from '../../../agent/vm/supervisor.ts';
import type { Assignment, ObservedVirtualMachine } from '../../../protocol/messages.ts';
import { messageOf } from '../../../runtime/error-text.ts';
import { simulatedHostFile } from '../../../simulator/host-file.ts';
import { defaultHost, type HostDescription } from '../../support/agent/simulated-node.ts';
import type { Chance } from '../chance.ts';
import { SimulatedDisk } from '../disk/disk.ts';
import { FileError } from '../disk/file-error.ts';
import { SimulatedStorage } from '../disk/state-storage.ts';
import { Process } from '../process.ts';
import { World } from '../world.ts';
import type { HostFaults } from './faults.ts';
import { SimulatedHost } from './host.ts';

const stateDir = '/state';
const stateFolder = 'C:\\ProgramData\\lcow';
const minute = 60_000;
const lookMilliseconds = 100;
/** A service manager waits this long before it starts an agent that ended. */
const restartMilliseconds = 1000;

/** Guests that say little, because each line costs time. */
const timing = { logIntervalMilliseconds: minute, redialMilliseconds: 1000 };

export interface BedOptions {
  readonly seed: number;
  readonly description?: Partial<HostDescription>;
  readonly faults?: Partial<HostFaults>;
  readonly trace?: (line: string) => void;
}

export class AgentBed {
  readonly world: World;
  readonly host: SimulatedHost;
  /** How often each kind of fault happened. */
  readonly injected = new Map<string, number>();
  /** The VMs that are gone. */
  readonly removed = new Set<string>();
  readonly disk: SimulatedDisk;
  readonly #storage: SimulatedStorage;
  readonly #chance: Chance;
  /** What the operator tells each agent that connects: an assignment, or a release. */
  readonly #wanted = new Map<string, Assignment | 'released'>();
  #process: Process | undefined;
  /** Absent while the agent starts and looks at what it has. */
  #supervisor: Supervisor | undefined;
  #agents = 0;

  constructor({ description, faults = {}, seed, trace }: BedOptions) {
    this.world = new World({ seed, ...(trace && { trace }) });
    const count = (kind: string) => this.injected.set(kind, (this.injected.get(kind) ?? 0) + 1);
    this.host = new SimulatedHost({
      world: this.world,
      name: 'host-1',
      host: simulatedHostFile.parse({ ...defaultHost, timing, ...description }),
      settings: { faults },
      injected: count,
    });
    this.disk = new SimulatedDisk({ world: this.world, name: 'host-1' });
    this.#storage = new SimulatedStorage(this.disk);
    this.#chance = this.world.chance('agents');
    this.#start();
  }

  assign(assignment: Assignment): void {
    this.removed.delete(assignment.uid);
    this.#wanted.set(assignment.uid, assignment);
    void this.#supervisor?.assign(assignment);
  }

  release(uid: string): void {
    this.#wanted.set(uid, 'released');
    this.#supervisor?.release(uid);
  }

  observed(uid: string): ObservedVirtualMachine | undefined {
    return this.#supervisor?.observe(uid);
  }

  /** The agent dies, and the next one starts. */
  killAgent(): void {
    if (this.#process !== undefined) this.#end(this.#process);
  }

  #end(process: Process): void {
    if (this.#process !== process) return;
    this.#process = undefined;
    this.#supervisor = undefined;
    process.die();
    this.world.after(restartMilliseconds, 'service manager', () => this.#start());
  }

  powerLoss(): void {
    this.host.powerLoss();
    this.disk.crashOfHost();
    this.killAgent();
  }

  async run(milliseconds: number): Promise<void> {
    const end = this.world.elapsed + milliseconds;
    // The clock reaches the end, also when nothing else happens, and what the test has begun happens before.
    for (const at of [0, milliseconds]) this.world.after(at, 'test', () => undefined);
    await this.world.run(end);
  }

  /** Runs the world until the condition holds, with a bound. The condition is looked at ten times a second. */
  async until(what: string, holds: () => boolean, milliseconds = 10 * minute): Promise<void> {
    const end = this.world.elapsed + milliseconds;
    while (!holds()) {
      await this.run(lookMilliseconds);
      if (this.world.elapsed >= end) throw this.#failure(what, milliseconds);
    }
  }

  #failure(what: string, milliseconds: number): Error {
    const known = [...this.#wanted.keys()].map((uid) => `${uid}: ${summary(this.observed(uid))}`);
    return new Error(`seed ${this.world.seed}: not within ${milliseconds} ms: ${what}\n${known.join('\n')}`);
  }

  #start(): void {
    this.#agents += 1;
    const process = new Process(this.world, `agent-${this.#agents}`);
    this.#process = process;
    // An agent that cannot run ends its program, and is started again.
    this.#run(process).catch((error: unknown) => {
      if (!process.isAlive) return;
      this.world.note(`${process.name} cannot run: ${messageOf(error)}`);
      if (!(error instanceof FileError)) this.world.fail(error);
      else this.#end(process);
    });
  }

  async #run(process: Process): Promise<void> {
    const storage = this.#storage.for(process);
    await storage.openFolder(stateDir);
    const node = await this.host.connect(process);
    const stop = new AbortController();
    const listener = {
      changed: (uid: string) => this.#judge(uid, supervisor.observe(uid)?.phase),
      removed: (uid: string) => {
        this.#judge(uid, 'removed');
        if (this.#wanted.get(uid) === 'released') this.removed.add(uid);
      },
      serviceLost: () => {
        stop.abort();
        this.#end(process);
      },
    };
    const supervisor: Supervisor = new Supervisor(this.#ports(process, node, storage), listener, stop.signal);
    await supervisor.recover();
    if (!process.isAlive) return;
    // Nothing is told to an agent that does not know yet what it has.
    this.#supervisor = supervisor;
    for (const [uid, wanted] of this.#wanted) {
      if (wanted === 'released') supervisor.release(uid);
      else await supervisor.assign(wanted);
    }
  }

  /** Nothing runs of a VM that is said to be stopped or removed. */
  #judge(uid: string, said: string | undefined): void {
    if (said !== 'Stopped' && said !== 'removed') return;
    const living = this.host.living().find((system) => system.uid === uid);
    if (living !== undefined) this.world.fail(new Error(`${uid} is said to be ${said}, and is ${living.state}`));
  }

  #ports(process: Process, node: AgentNode, storage: StateStorage): Omit<VirtualMachinePorts, 'reservations'> {
    const { clock } = process;
    const { backend, host, sockets } = node;
    const allowed = allowList({ paths: ['C:\\'], pipes: ['*'], devices: ['*'] });
    const randomUUID = () => this.#chance.uuid();
    const preparation = { backend, host, randomGuid: randomUUID, stateFolder, ownFolders: [stateFolder], allowed };
    const afterOthers = (run: () => void) => void clock.after(0, run);
    return {
      clock,
      random: this.#chance.number,
      randomBytes: (size) => this.#chance.bytes(size),
      backend,
      host,
      sockets,
      journal: new FileJournal(storage.files, stateDir),
      timeouts: defaultTimeouts,
      logger: this.#logger(),
      agentBootID: randomUUID(),
      hostStartedAt: 0,
      logTurns: new LogTurns({ afterOthers, now: clock.now }),
      openGuestLog: (uid, events) =>
        new GuestLogFile({ files: storage.files, folder: `${stateDir}/vms/${uid}`, ...events }),
      prepare: (assignment) => prepareBoot(assignment, preparation),
      admitGroup: () => undefined,
      admitDisk: (assignment, disk) => admitDiskOf(assignment, disk, preparation),
      admitShare: (assignment, share) => admitShareOf(assignment, share, preparation),
    };
  }

  /** LCOW_TEST_LOG=info adds the agents' lines to the trace. */
  #logger() {
    const level = (process.env.LCOW_TEST_LOG ?? 'silent') as Level;
    return pino({ level, base: null, timestamp: false }, { write: (line) => this.world.note(line.trimEnd()) });
  }
}

function summary(observed: ObservedVirtualMachine | undefined): string {
  const { conditions = [], generation, phase } = observed ?? {};
  const texts = conditions.map(({ message, reason, status, type }) => `${type}=${status} ${reason} ${message}`);
  return `generation ${generation}, ${phase}: ${texts.join('; ')}`;
}
