// The actions that a user can take on one VM over streams: read its log, start a process in its guest, read its
// console, see its document, the stacks of its guest agent and its use of the host, connect to its ports. They work
// beside the state machine. Refusals are `StreamFailure`s.
import type { Duplex } from 'node:stream';
import type { LogPosition, StreamProblem } from '../../protocol/streams/messages.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { GuestRefusal } from '../guest/bridge/errors.ts';
import type { GuestCommand } from '../guest/bridge/process-request.ts';
import type { GuestProcess, StdioWanted } from '../guest/bridge/processes.ts';
import type { GuestLog } from '../guest-log/log.ts';
import { endOfEarlierRun, type LogFiles, readLog } from '../guest-log/reader.ts';
import type { ComputeSystem } from '../node/backend.ts';
import type { GuestRun } from '../run/guest-run.ts';
import type { SentDocuments } from '../storage/sent-documents.ts';
import { isForwardable, notForwardable } from './forwardable-ports.ts';
import type { MachineRecord } from './record.ts';
import { StreamFailure } from './stream-failure.ts';

export interface LogRequest {
  readonly follow: boolean;
  readonly previous: boolean;
  readonly tailLines?: number | undefined;
  readonly after?: LogPosition | undefined;
}

/** The parts of a VM that users can reach, as they are at the time of the request. */
export interface ReachableVirtualMachine {
  readonly uid: string;
  readonly record: MachineRecord;
  /** Absent while the system does not exist. */
  readonly system: ComputeSystem | undefined;
  readonly run: GuestRun | undefined;
  readonly log: GuestLog;
  readonly logFiles: LogFiles;
  /** Aborts when the VM gives up its reservation of the console pipe. */
  readonly consoleSignal: AbortSignal;
  /** Absent when the agent keeps no documents. */
  readonly sentDocuments: SentDocuments | undefined;
}

export class GuestAccess {
  readonly #vm: ReachableVirtualMachine;

  constructor(vm: ReachableVirtualMachine) {
    this.#vm = vm;
  }

  /** Blocks of whole lines, each with its position. */
  async *readLog(request: LogRequest, signal: AbortSignal): AsyncGenerator<Buffer> {
    const { log, logFiles } = this.#vm;
    const { boot, lines } = log.now;
    const { after, follow, previous, tailLines } = request;
    if (!previous) {
      // A reader that continues after a line gets all later lines, also those of later runs.
      const start = after ?? tailStart({ boot, sequence: lines - 1 }, tailLines);
      yield* readLog(logFiles, { after: start, follow }, signal);
      return;
    }
    const end = await endOfEarlierRun(logFiles, boot, signal);
    if (end === undefined) throw new StreamFailure('NoLog', 'no earlier run of this VM has lines that are still kept');
    const start = after ?? tailStart(end, tailLines);
    yield* readLog(logFiles, { after: start, lastBoot: end.boot, follow: false }, signal);
  }

  async execute(command: GuestCommand, wanted: StdioWanted, signal: AbortSignal): Promise<GuestProcess> {
    if (this.#vm.run === undefined) throw notRunning();
    if (this.#vm.record.applied?.execAllowed === false) {
      const message = 'the VM is confidential, and its security policy allows no process to be started from outside';
      throw new StreamFailure('ExecNotAllowed', message);
    }
    try {
      return await this.#connectedRun().execute(command, wanted, signal);
    } catch (error) {
      if (error instanceof StreamFailure) throw error;
      throw new StreamFailure(error instanceof GuestRefusal ? 'CommandFailed' : 'Failed', messageOf(error));
    }
  }

  /**
   * Connects to a vsock port of the guest. `over` aborts when the run of the VM ends. Who may start no process in a
   * confidential VM may not reach its ports either: its policy does not see such a connection.
   */
  async connect(
    port: number,
    signal: AbortSignal,
  ): Promise<{ readonly connection: Duplex; readonly over: AbortSignal }> {
    const { record, run } = this.#vm;
    if (!isForwardable(port)) throw new StreamFailure('PortNotAllowed', notForwardable(port));
    if (run === undefined) throw notRunning();
    if (record.applied?.execAllowed === false) {
      const message =
        'the VM is confidential, and its security policy allows no process to be started from outside, so no port is forwarded';
      throw new StreamFailure('ForwardingNotAllowed', message);
    }
    try {
      return { connection: await run.connect(port, signal), over: run.over };
    } catch (error) {
      if (run.over.aborted) throw notRunning();
      throw new StreamFailure(problemOfDial(error), `vsock port ${port} of the guest: ${dialText(error)}`);
    }
  }

  /** The pipe of the VM's serial port. The signal aborts when the VM gives up the pipe. */
  get console(): { readonly pipe: string; readonly signal: AbortSignal } {
    const { record, system } = this.#vm;
    const pipe = record.applied?.options.ConsolePipe ?? '';
    if (pipe === '') throw new StreamFailure('NoConsole', 'the VM has no console: spec.console.pipe is not set');
    if (system === undefined) throw notRunning();
    return { pipe, signal: this.#vm.consoleSignal };
  }

  /** Rejects with the signal's reason when the user does not wait for the guest. */
  async readStacks(signal: AbortSignal): Promise<string> {
    const stacks = await Promise.race([this.#connectedRun().dumpStacks(), aborted(signal)]);
    if (stacks === '') throw new StreamFailure('NoStacks', 'the guest agent does not report its stacks');
    return stacks;
  }

  /** The lines of the log so far. */
  get logPosition(): { readonly boot: number; readonly lines: number } {
    return this.#vm.log.now;
  }

  async readDocument(): Promise<string> {
    const { sentDocuments, uid } = this.#vm;
    const document = await sentDocuments?.read(uid);
    if (document === undefined) throw new StreamFailure('NoDocument', 'the VM was not created yet on this host');
    return document;
  }

  #connectedRun(): GuestRun {
    const { run } = this.#vm;
    if (run === undefined) throw notRunning();
    if (!run.guestConnected) throw new StreamFailure('GuestNotConnected', 'the guest is not connected over its bridge');
    return run;
  }
}

function notRunning(): StreamFailure {
  return new StreamFailure('NotRunning', 'the VM does not run');
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

const dialProblems: Readonly<Record<string, StreamProblem>> = {
  ECONNREFUSED: 'ConnectionRefused',
  ETIMEDOUT: 'ConnectionTimedOut',
  TimeoutError: 'ConnectionTimedOut',
};

function problemOfDial(error: unknown): StreamProblem {
  return dialProblems[codeOf(error)] ?? 'Failed';
}

function dialText(error: unknown): string {
  switch (problemOfDial(error)) {
    case 'ConnectionRefused':
      return 'no program of the guest listens there';
    case 'ConnectionTimedOut':
      return 'the guest does not answer';
    default:
      return messageOf(error);
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

/** The position before the last `tailLines` lines of this run, or before all of them when the run has fewer. */
function tailStart(end: LogPosition, tailLines: number | undefined): LogPosition {
  const wanted = tailLines ?? Number.MAX_SAFE_INTEGER;
  return { boot: end.boot, sequence: Math.max(-1, end.sequence - wanted) };
}
