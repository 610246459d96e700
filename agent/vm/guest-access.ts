// What a user may do with one VM over streams, besides what its state machine does with it: read its log, start a process
// in its guest, read its console, see its document. Refusals are `StreamFailure`s.
import type { LogPosition } from '../../protocol/streams/messages.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { GuestRefusal } from '../guest/bridge/errors.ts';
import type { GuestCommand } from '../guest/bridge/process-request.ts';
import type { GuestProcess, StdioWanted } from '../guest/bridge/processes.ts';
import type { GuestLog } from '../guest-log/log.ts';
import { endOfEarlierRun, type LogFiles, readLog } from '../guest-log/reader.ts';
import type { ComputeSystem } from '../node/backend.ts';
import type { GuestRun } from '../run/guest-run.ts';
import type { SentDocuments } from '../storage/sent-documents.ts';
import type { MachineRecord } from './record.ts';
import { StreamFailure } from './stream-failure.ts';

export interface LogRequest {
  readonly follow: boolean;
  readonly previous: boolean;
  readonly tailLines?: number | undefined;
  readonly after?: LogPosition | undefined;
}

/** What users reach of a VM, as it is when they ask. */
export interface ReachableVirtualMachine {
  readonly uid: string;
  readonly record: MachineRecord;
  /** Absent while it does not exist. */
  readonly system: ComputeSystem | undefined;
  readonly run: GuestRun | undefined;
  readonly log: GuestLog;
  readonly logFiles: LogFiles;
  /** Aborts when the pipe of the console is this VM's no more. */
  readonly consoleSignal: AbortSignal;
  /** Absent: documents are not kept. */
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
      // Whoever goes on after a line wants all that came since, also of a later run.
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
    const { record, run } = this.#vm;
    if (run === undefined) throw new StreamFailure('NotRunning', 'the VM does not run');
    if (record.applied?.execAllowed === false) {
      const message = 'the VM is confidential, and its security policy allows no process to be started from outside';
      throw new StreamFailure('ExecNotAllowed', message);
    }
    if (!run.guestConnected) throw new StreamFailure('GuestNotConnected', 'the guest is not connected over its bridge');
    try {
      return await run.execute(command, wanted, signal);
    } catch (error) {
      throw new StreamFailure(error instanceof GuestRefusal ? 'CommandFailed' : 'Failed', messageOf(error));
    }
  }

  /** The pipe that the VM's serial port is, for as long as it is this VM's. */
  get console(): { readonly pipe: string; readonly signal: AbortSignal } {
    const { record, system } = this.#vm;
    const pipe = record.applied?.options.ConsolePipe ?? '';
    if (pipe === '') throw new StreamFailure('NoConsole', 'the VM has no console: spec.console.pipe is not set');
    if (system === undefined) throw new StreamFailure('NotRunning', 'the VM does not run');
    return { pipe, signal: this.#vm.consoleSignal };
  }

  async readDocument(): Promise<string> {
    const { sentDocuments, uid } = this.#vm;
    const document = await sentDocuments?.read(uid);
    if (document === undefined) throw new StreamFailure('NoDocument', 'the VM was not created yet on this host');
    return document;
  }
}

/** The line after which the last so many lines begin, which is before all when there are no more of this run. */
function tailStart(end: LogPosition, tailLines: number | undefined): LogPosition {
  const wanted = tailLines ?? Number.MAX_SAFE_INTEGER;
  return { boot: end.boot, sequence: Math.max(-1, end.sequence - wanted) };
}
