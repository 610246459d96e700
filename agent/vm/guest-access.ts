// What a user may do with one VM over streams, besides what its state machine does with it: read its log, start a process
// in its guest, read its console, see its document. Refusals are `StreamFailure`s.
import type { LogPosition } from '../../protocol/streams/messages.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { GuestRefusal } from '../guest/bridge/errors.ts';
import type { GuestCommand } from '../guest/bridge/process-request.ts';
import type { GuestProcess, StdioWanted } from '../guest/bridge/processes.ts';
import { endOfEarlierRun, readLog } from '../guest-log/reader.ts';
import type { MachineContext } from './context.ts';
import { StreamFailure } from './stream-failure.ts';

export interface LogRequest {
  readonly follow: boolean;
  readonly previous: boolean;
  readonly tailLines?: number | undefined;
  readonly after?: LogPosition | undefined;
}

export class GuestAccess {
  readonly #context: MachineContext;

  constructor(context: MachineContext) {
    this.#context = context;
  }

  /** Blocks of whole lines, each with its position. */
  async *readLog(request: LogRequest, signal: AbortSignal): AsyncGenerator<Buffer> {
    const { log, logFiles } = this.#context;
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
    const { record, run } = this.#context;
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
    const { record, system } = this.#context;
    const pipe = record.applied?.options.ConsolePipe ?? '';
    if (pipe === '') throw new StreamFailure('NoConsole', 'the VM has no console: spec.console.pipe is not set');
    if (system === undefined) throw new StreamFailure('NotRunning', 'the VM does not run');
    return { pipe, signal: this.#context.consoleSignal };
  }

  async readDocument(): Promise<string> {
    const { ports, uid } = this.#context;
    const document = await ports.sentDocuments?.read(uid);
    if (document === undefined) throw new StreamFailure('NoDocument', 'the VM was not created yet on this host');
    return document;
  }
}

/** The line after which the last so many lines begin, which is before all when there are no more of this run. */
function tailStart(end: LogPosition, tailLines: number | undefined): LogPosition {
  const wanted = tailLines ?? Number.MAX_SAFE_INTEGER;
  return { boot: end.boot, sequence: Math.max(-1, end.sequence - wanted) };
}
