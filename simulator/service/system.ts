// One compute system of a simulated node (hcs-runtime A.2, B.1).
//
//   Created ──start──► Running ◄──pause, resume──► Paused
//      └──────────────────┴──────────────────────────┴─ terminate, guest's end, last handle ──► Stopped
//
// Stopped is final; whoever holds a handle can still ask for the properties.

import type { RuntimeId, SystemExit, SystemId, SystemState, SystemStatistics } from '../../agent/node/backend.ts';
import { HcsError, hresult } from '../../agent/node/hcs-error.ts';
import { type Clock, delay } from '../../runtime/clock.ts';
import type { DiskFiles } from '../guest/filesystem.ts';
import { SimulatedGuest } from '../guest/guest.ts';
import type { HostTiming } from '../host-file.ts';
import { SimulatedConsole } from '../wire/console.ts';
import type { Dial } from '../wire/guest-dial.ts';
import type { ConnectionsOfPaused, GuestEnd, Visiting } from '../wire/script.ts';
import type { Admitted } from './admission.ts';
import { type Attachments, attachmentsOf } from './attachments.ts';
import { GuestDoor } from './guest-door.ts';
import { Shares } from './shares.ts';

export interface SystemOptions {
  readonly id: SystemId;
  readonly runtimeId: RuntimeId;
  readonly text: string;
  readonly admitted: Admitted;
  readonly timing: HostTiming;
  readonly clock: Clock;
  readonly script: Visiting;
  readonly dial: Dial;
  /** The files on the disk with this path. */
  readonly diskFiles: (path: string) => DiskFiles;
  /** The socket for the pipe of a serial port; absent = this node has no consoles. */
  readonly consolePath?: (pipe: string) => string;
  /** The socket at which the host reaches the ports of the guest; undefined = it cannot. */
  readonly doorPath?: () => string | undefined;
  readonly onStopped: (exit: SystemExit) => void;
}

type ExitType = SystemExit['exitType'];

const exitStatus: Readonly<Partial<Record<ExitType, number>>> = {
  GracefulExit: 0,
  ForcedExit: 0xc037_0107,
  UnexpectedExit: hresult.unexpectedExit,
};

/** The share of a processor that an idle guest uses. */
const idleShare = 0.02;
const bytesPerMebibyte = 2 ** 20;

/** A guest that crashes reports nothing; one that panics reports the cause. */
const exitOfGuest: Readonly<Record<GuestEnd, Omit<SystemExit, 'status'>>> = {
  powerOff: { exitType: 'GracefulExit' },
  crash: { exitType: 'UnexpectedExit' },
  panic: {
    exitType: 'UnexpectedExit',
    attribution: ['GuestCrash'],
    crashLog: 'Kernel panic - not syncing: simulated\nCPU: 0 PID: 1 Comm: init\n---[ end Kernel panic ]---',
  },
};

export class SimulatedSystem {
  readonly id: SystemId;
  readonly runtimeId: RuntimeId;
  readonly text: string;
  readonly owner: string;
  readonly terminatesWithLastHandle: boolean;
  readonly attachments: Attachments;
  readonly shares = new Shares();
  /** Memory of the host that the system uses while it is not stopped. */
  memoryInMB: number;
  /** Limits that were set while the system ran. */
  processorLimits: Readonly<Record<string, number>> = {};
  /** The processor group of the system; absent = none. */
  cpuGroup: string | undefined;
  readonly #options: SystemOptions;
  #state: SystemState = 'Created';
  #isStarting = false;
  #startedAt: number | undefined;
  readonly #ending = new AbortController();
  #exit: SystemExit | undefined;
  #guest: SimulatedGuest | undefined;
  #consoles: readonly SimulatedConsole[] = [];
  #door: GuestDoor | undefined;

  constructor(options: SystemOptions) {
    const { document, memoryInMB } = options.admitted;
    this.#options = options;
    this.id = options.id;
    this.runtimeId = options.runtimeId;
    this.text = options.text;
    this.owner = document.Owner ?? '';
    this.terminatesWithLastHandle = document.ShouldTerminateOnLastHandleClosed === true;
    this.attachments = attachmentsOf(document);
    this.memoryInMB = memoryInMB;
    this.cpuGroup = document.VirtualMachine?.ComputeTopology?.Processor?.CpuGroup?.Id;
  }

  get state(): SystemState {
    return this.#state;
  }

  get exit(): SystemExit | undefined {
    return this.#exit;
  }

  get guest(): SimulatedGuest | undefined {
    return this.#guest;
  }

  /** Aborts when the end begins: a start that is under way then returns. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** Files that nobody can replace or delete meanwhile. */
  get openFiles(): readonly string[] {
    return this.#state === 'Stopped' ? [] : [...this.#options.admitted.openFiles, ...this.attachments.paths()];
  }

  /** The named pipes of its serial ports. */
  get pipes(): readonly string[] {
    const ports = Object.values(this.#options.admitted.document.VirtualMachine?.Devices?.ComPorts ?? {});
    return ports.flatMap(({ NamedPipe }) => NamedPipe ?? []);
  }

  async start(): Promise<void> {
    this.#refuseStopped('HcsStartComputeSystem');
    if (this.#isStarting || this.#state !== 'Created') {
      throw new HcsError('HcsStartComputeSystem', hresult.invalidState);
    }
    this.#isStarting = true;
    const { admitted, clock, dial, diskFiles, id, script, timing } = this.#options;
    await delay(clock, timing.startMilliseconds);
    this.#consoles = await this.#openConsoles();
    this.#door = await this.#openDoor();
    this.ending.throwIfAborted();
    this.#state = 'Running';
    this.#startedAt = clock.now();
    this.#guest = new SimulatedGuest({
      systemId: id,
      boot: admitted.boot,
      dial,
      clock,
      timing,
      script,
      disks: {
        isAttached: (controller, lun) => this.attachments.has(controller, lun),
        files: (controller, lun) => diskFiles(this.attachments.byPlace()[`${controller}:${lun}`] ?? ''),
        share: (name) => {
          const folder = this.shares.find(name);
          return folder && { files: diskFiles(folder.path), isReadOnly: folder.isReadOnly };
        },
      },
      onEnd: (how) => this.#end(exitOfGuest[how]),
    });
    this.#guest.start();
  }

  #openConsoles(): Promise<readonly SimulatedConsole[]> {
    const { consolePath } = this.#options;
    if (consolePath === undefined) return Promise.resolve([]);
    return Promise.all(this.pipes.map((pipe) => SimulatedConsole.open(consolePath(pipe))));
  }

  #openDoor(): Promise<GuestDoor> | undefined {
    const path = this.#options.doorPath?.();
    return path === undefined ? undefined : GuestDoor.open(path, (port) => this.#guest?.answering(port));
  }

  /** The guest powers itself off. */
  shutDown(): void {
    this.requireRunning('HcsShutDownComputeSystem');
    this.#guest?.end('powerOff');
  }

  /** Pauses the VM, as an administrator of the host could. */
  pause(connections: ConnectionsOfPaused): void {
    this.requireRunning('HcsPauseComputeSystem');
    this.#state = 'Paused';
    this.#guest?.pause(connections);
  }

  resume(): void {
    this.#refuseStopped('HcsResumeComputeSystem');
    if (this.#state !== 'Paused') throw new HcsError('HcsResumeComputeSystem', hresult.invalidState);
    this.#state = 'Running';
    this.#guest?.resume();
  }

  /** Only submits the request. Has no effect on a stopped system. */
  terminate(): void {
    this.#guest?.kill();
    this.#end({ exitType: 'ForcedExit' });
  }

  /** Empty for a system that does not run. */
  statistics(): SystemStatistics {
    if (this.#state !== 'Running' || this.#startedAt === undefined) return {};
    const seconds = (this.#options.clock.now() - this.#startedAt) / 1000;
    return { processorSeconds: seconds * idleShare, assignedMemoryBytes: this.memoryInMB * bytesPerMebibyte };
  }

  requireRunning(operation: string): void {
    this.#refuseStopped(operation);
    if (this.#state !== 'Running') throw new HcsError(operation, hresult.invalidState);
  }

  #refuseStopped(operation: string): void {
    if (this.#state === 'Stopped') throw new HcsError(operation, hresult.alreadyStopped);
  }

  /** The first cause counts. The system still exists for a moment. */
  #end(exit: Omit<SystemExit, 'status'>): void {
    if (this.ending.aborted) return;
    this.#ending.abort(new HcsError('HcsStartComputeSystem', hresult.terminatedDuringStart));
    const { clock, onStopped, timing } = this.#options;
    clock.after(timing.exitMilliseconds, () => {
      this.#state = 'Stopped';
      for (const console of this.#consoles) console.close();
      this.#door?.close();
      this.#exit = { ...exit, status: exitStatus[exit.exitType] ?? 0 };
      onStopped(this.#exit);
    });
  }
}
