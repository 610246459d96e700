// One compute system of a simulated node (hcs-runtime A.2, B.1).
//
//   Created ──start──► Running ──┐
//      └─────────────────────────┴─ terminate, guest's end, last handle ──► Stopped
//
// Stopped is final; whoever holds a handle can still ask for the properties.
import { type Clock, delay } from '../../../protocol/clock.ts';
import type { RuntimeId, SystemExit, SystemId, SystemState } from '../backend.ts';
import { HcsError, hresult } from '../errors.ts';
import type { Admitted } from './admission.ts';
import { type Attachments, attachmentsOf } from './attachments.ts';
import { SimulatedGuest } from './guest.ts';
import type { Dial } from './guest-dial.ts';
import type { HostTiming } from './host-file.ts';
import type { GuestEnd, Script } from './script.ts';

export interface SystemOptions {
  readonly id: SystemId;
  readonly runtimeId: RuntimeId;
  readonly text: string;
  readonly admitted: Admitted;
  readonly timing: HostTiming;
  readonly clock: Clock;
  readonly script: Script;
  readonly dial: Dial;
  readonly onStopped: (exit: SystemExit) => void;
}

type ExitType = SystemExit['exitType'];

const exitStatus: Readonly<Partial<Record<ExitType, number>>> = {
  GracefulExit: 0,
  ForcedExit: 0xc037_0107,
  UnexpectedExit: hresult.unexpectedExit,
};

const exitOfGuest: Readonly<Record<GuestEnd, ExitType>> = {
  powerOff: 'GracefulExit',
  crash: 'UnexpectedExit',
  panic: 'UnexpectedExit',
};

export class SimulatedSystem {
  readonly id: SystemId;
  readonly runtimeId: RuntimeId;
  readonly text: string;
  readonly owner: string;
  readonly terminatesWithLastHandle: boolean;
  readonly attachments: Attachments;
  /** What it takes of the host while it is not stopped. */
  memoryInMB: number;
  /** As they were set while it ran. */
  processorLimits: Readonly<Record<string, number>> = {};
  /** The processor group that it is in; absent = none. */
  cpuGroup: string | undefined;
  readonly #options: SystemOptions;
  #state: SystemState = 'Created';
  #isStarting = false;
  #isEnding = false;
  #exit: SystemExit | undefined;
  #guest: SimulatedGuest | undefined;

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

  /** Files that nobody can replace or delete meanwhile. */
  get openFiles(): readonly string[] {
    return this.#state === 'Stopped' ? [] : [...this.#options.admitted.openFiles, ...this.attachments.paths()];
  }

  async start(): Promise<void> {
    this.#refuseStopped('HcsStartComputeSystem');
    if (this.#isStarting || this.#state !== 'Created') {
      throw new HcsError('HcsStartComputeSystem', hresult.invalidState);
    }
    this.#isStarting = true;
    const { admitted, clock, dial, id, script, timing } = this.#options;
    await delay(clock, timing.startMilliseconds);
    if (this.#isEnding) throw new HcsError('HcsStartComputeSystem', hresult.terminatedDuringStart);
    this.#state = 'Running';
    this.#guest = new SimulatedGuest({
      systemId: id,
      boot: admitted.boot,
      dial,
      clock,
      timing,
      script,
      isDiskAttached: (controller, lun) => this.attachments.has(controller, lun),
      onEnd: (how) => this.#end(exitOfGuest[how]),
    });
    this.#guest.start();
  }

  /** The guest powers off by itself. */
  shutDown(): void {
    this.requireRunning('HcsShutDownComputeSystem');
    this.#guest?.end('powerOff');
  }

  /** Only submits; nothing happens to a stopped system. */
  terminate(): void {
    this.#guest?.kill();
    this.#end('ForcedExit');
  }

  requireRunning(operation: string): void {
    this.#refuseStopped(operation);
    if (this.#state !== 'Running') throw new HcsError(operation, hresult.invalidState);
  }

  #refuseStopped(operation: string): void {
    if (this.#state === 'Stopped') throw new HcsError(operation, hresult.alreadyStopped);
  }

  /** The first cause decides; the system is still there for a moment. */
  #end(exitType: ExitType): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    const { clock, onStopped, timing } = this.#options;
    clock.after(timing.exitMilliseconds, () => {
      this.#state = 'Stopped';
      this.#exit = { exitType, status: exitStatus[exitType] ?? 0 };
      onStopped(this.#exit);
    });
  }
}
