// The agent of a life: its own code down to the functions of computecore.dll and ws2_32.dll, which are stood in for, with
// time, files and journal passed in.
import { pino } from 'pino';
import { defaultTimeouts } from '../../../agent/bounds/timeouts.ts';
import type { GuestLogSink } from '../../../agent/guest-log/sink.ts';
import type { ChangeTarget } from '../../../agent/modification/document.ts';
import type { ComputeSystem, HcsBackend } from '../../../agent/node/backend.ts';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { allowList } from '../../../agent/preparation/allow-list.ts';
import { requireAllowedGroups } from '../../../agent/preparation/allowed-groups.ts';
import { admitDiskOf, admitShareOf, prepareBoot } from '../../../agent/preparation/prepare.ts';
import { GuestRun } from '../../../agent/run/guest-run.ts';
import type { MachineState } from '../../../agent/vm/states.ts';
import { Supervisor } from '../../../agent/vm/supervisor.ts';
import type { VirtualMachine } from '../../../agent/vm/virtual-machine.ts';
import { ComputeCoreBackend } from '../../../agent/windows/computecore/backend.ts';
import { ComputeCoreLibrary } from '../../../agent/windows/computecore/library.ts';
import { HyperVSockets } from '../../../agent/windows/hvsock/sockets.ts';
import { optionsDigest } from '../../../protocol/digest.ts';
import type { Assignment, ObservedVirtualMachine } from '../../../protocol/messages.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import { Activity } from './activity.ts';
import { ComputeService } from './compute-service.ts';
import { RecordedGuest } from './guest.ts';
import { GuestNetwork } from './guest-network.ts';
import { HeldJournal, LifeHost } from './host.ts';
import type { Life } from './life.ts';

export const uid = '6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e3f';
export const systemID = systemIdOf(uid);
const agentBootID = '0b7d6a3f-2c1e-4c55-9a51-2f7f0c1d2e3f';
const stateFolder = 'C:\\ProgramData\\lcow';
/** Of the VM: staged copies go there. */
export const bundleFolder = `${stateFolder}\\vms\\${uid}`;

const guid = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

export class LifeAgent {
  readonly activity: Activity;
  readonly service: ComputeService;
  readonly network: GuestNetwork;
  readonly guest: RecordedGuest;
  readonly host: LifeHost;
  readonly journal: HeldJournal;
  readonly backend: ComputeCoreBackend;
  /** GUIDs that the agent drew, in this order. */
  readonly drawn: string[] = [];
  /** States that the VM has been in. */
  readonly states: MachineState[] = [];
  isLost = false;
  readonly #stop = new AbortController();
  readonly #supervisor: Supervisor;
  readonly #sockets: HyperVSockets;
  #assignment: Assignment | undefined;
  #system: ComputeSystem | undefined;
  #run: GuestRun | undefined;
  #machine: VirtualMachine | undefined;

  static async start(life: Life): Promise<LifeAgent> {
    const activity = new Activity();
    const network = new GuestNetwork(activity);
    const sockets = await HyperVSockets.over((received) => network.startPump(received));
    return new LifeAgent(life, { activity, network, sockets });
  }

  private constructor(
    life: Life,
    outside: { readonly activity: Activity; readonly network: GuestNetwork; readonly sockets: HyperVSockets },
  ) {
    this.activity = outside.activity;
    this.network = outside.network;
    this.journal = new HeldJournal(outside.activity);
    this.service = new ComputeService(life, outside.activity);
    this.guest = new RecordedGuest(life, outside.network);
    this.host = new LifeHost(life);
    this.service.onExit = () => this.activity.clock.after(0, () => this.guest.vanish());
    this.#sockets = outside.sockets;
    this.backend = new ComputeCoreBackend(new ComputeCoreLibrary(this.service));
    this.#supervisor = this.#supervise(life);
    this.#catchRuns();
  }

  #supervise({ limit, steps }: Life): Supervisor {
    const { activity, host, journal } = this;
    const backend = this.#catchSystems();
    const preparation = {
      backend,
      host,
      randomGuid: () => this.drawGuid(),
      stateFolder,
      ownFolders: [stateFolder],
      allowed: allowList({ paths: ['C:\\'], pipes: ['*'], devices: ['*'] }),
      allowedGroups: { cpuGroups: guidsIn(steps), resourcePartitions: guidsIn(steps) },
    };
    const listener = {
      changed: () => this.#noteState(),
      removed: () => this.#noteState(),
      logged: () => activity.noted(),
      serviceLost: () => this.#lost(),
    };
    const ports = {
      clock: activity.clock,
      random: () => 0,
      randomBytes: (count: number) => new Uint8Array(count),
      backend,
      host,
      sockets: this.#sockets,
      journal,
      timeouts: {
        ...defaultTimeouts,
        ...(limit.create !== undefined && { create: limit.create }),
        ...(limit.start !== undefined && { bootTimeout: limit.start }),
      },
      logger: pino({ level: process.env.LCOW_TEST_LOG ?? 'silent' }),
      agentBootID,
      hostStartedAt: 0,
      openGuestLog: () => noLog,
      prepare: (assignment: Assignment) => prepareBoot(assignment, preparation),
      admitGroup: (CPUGroupID: string) => requireAllowedGroups({ CPUGroupID }, preparation.allowedGroups),
      admitDisk: (assignment: Assignment, disk: Parameters<typeof admitDiskOf>[1]) =>
        admitDiskOf(assignment, disk, preparation),
      admitShare: (assignment: Assignment, share: Parameters<typeof admitShareOf>[1]) =>
        admitShareOf(assignment, share, preparation),
    };
    return new Supervisor(ports, listener, this.#stop.signal);
  }

  drawGuid(): string {
    const drawn = `00000000-0000-4000-8000-${String(this.drawn.length + 1).padStart(12, '0')}`;
    this.drawn.push(drawn);
    return drawn;
  }

  get state(): MachineState {
    return this.#machine?.state ?? 'Unknown';
  }

  /** Nothing of the VM is left, or the agent is gone. */
  get isOver(): boolean {
    return this.isLost || this.states.at(-1) === 'Forgotten';
  }

  observe(): ObservedVirtualMachine | undefined {
    return this.#supervisor.observe(uid) ?? this.#machine?.observe();
  }

  /** What the operator wants of the VM from now on. */
  want(options: RequestedOptions, runStrategy: Assignment['runStrategy']): void {
    this.#assignment = {
      uid,
      namespace: 'default',
      name: 'vm',
      generation: (this.#assignment?.generation ?? 0) + 1,
      options,
      optionsDigest: optionsDigest(options),
      runStrategy,
      updateStrategy: 'OnRestart',
      paused: false,
      remembered: { restarts: 0 },
    };
    this.#supervisor.assign(this.#assignment).catch(() => undefined);
    this.#machine ??= this.#supervisor.machine(uid);
    this.activity.noted();
  }

  get wanted(): RequestedOptions {
    return this.#assignment?.options ?? {};
  }

  release(): void {
    this.#supervisor.release(uid);
    this.activity.noted();
  }

  get machine(): VirtualMachine {
    if (this.#machine === undefined) throw new Error('the caller has created no VM yet');
    return this.#machine;
  }

  get run(): GuestRun {
    if (this.#run === undefined) throw new Error('the guest is not connected');
    return this.#run;
  }

  /** Both ends of the running VM, for changes that no manifest can ask for yet. */
  get target(): ChangeTarget {
    return {
      host: async (document) => {
        if (this.#system === undefined) throw new Error('the VM does not exist');
        await this.#system.modify(document);
      },
      guest: (modification) => this.run.modify(modification, defaultTimeouts.guestChange),
    };
  }

  /** The life is over: nothing of what happens now belongs to it. */
  async stop(): Promise<void> {
    this.journal.start();
    this.#stop.abort();
    this.guest.vanish();
    this.service.finish();
    await this.activity.settle();
    const closed = this.backend.close();
    await this.activity.until(() => false, 120_000);
    await closed;
    await this.#sockets.close();
    GuestRun.open = openRun;
  }

  /** The agent's process ends then, and the next one looks at everything anew. */
  #lost(): void {
    this.isLost = true;
    this.#stop.abort();
    this.activity.noted();
    void this.#end();
  }

  /** As the program does it. */
  async #end(): Promise<void> {
    await this.#supervisor.ended();
    await this.#sockets.close();
    await this.backend.close();
  }

  #noteState(): void {
    const state = this.#machine?.state;
    if (state !== undefined && state !== this.states.at(-1)) this.states.push(state);
    this.activity.noted();
  }

  #catchSystems(): HcsBackend {
    const { backend } = this;
    return {
      processorTopology: () => backend.processorTopology(),
      enumerate: () => backend.enumerate(),
      create: async (...parameters) => {
        this.#system = await backend.create(...parameters);
        return this.#system;
      },
      open: (id) => backend.open(id),
      grantVmAccess: (id, path) => backend.grantVmAccess(id, path),
      revokeVmAccess: (id, path) => backend.revokeVmAccess(id, path),
      close: () => backend.close(),
    };
  }

  #catchRuns(): void {
    GuestRun.open = async (...parameters) => {
      this.#run = await openRun(...parameters);
      return this.#run;
    };
  }
}

const openRun = GuestRun.open;

const noLog: GuestLogSink = {
  numbers: { oldest: 0, newest: 0 },
  append: () => undefined,
  flush: async () => undefined,
  lastPosition: async () => undefined,
  openNumber: async () => undefined,
  onWritten: () => () => undefined,
};

/** Whatever the caller may name. */
function guidsIn(steps: Life['steps']): readonly string[] {
  const texts = steps.flatMap((step) =>
    step.by === 'caller' && 'call' in step ? Object.values(step.args).map(String) : [],
  );
  return texts.filter((text) => guid.test(text));
}
