// Reads one VM's log as long as the VM runs (hcs-runtime D.2): a guest whose `vsockexec` relays reconnects after each
// connection that ended. The caller decides what is removed from records, and who receives them besides the log.
import type { Clock } from '../../runtime/clock.ts';
import { LogLimiter, type LogRate } from '../guest/log/limiter.ts';
import { logLine } from '../guest/log/line.ts';
import type { GuestLogRecord } from '../guest/log/record.ts';
import { scrubRecord } from '../guest/log/scrubber.ts';
import { readGuestLog } from '../guest/log/stream.ts';
import type { LogTurns } from '../guest/log/turns.ts';
import type { GuestListener } from '../node/guest-sockets.ts';
import { RedialPauses } from './redial-pauses.ts';

export interface GuestLogPolicy {
  /** Removes secrets (guest.scrubLogs). */
  readonly scrub?: boolean;
  readonly rate?: LogRate | undefined;
  /** Receives records before they become lines, for collectors and files. */
  readonly onRecords?: (records: readonly GuestLogRecord[]) => void;
  /** Receives the number of records that came too fast and became no line. */
  readonly onDropped?: (records: number) => void;
}

export interface GuestLogPorts {
  readonly uid: string;
  readonly clock: Clock;
  /** Receives the lines that arrived together. */
  readonly onLines: (lines: readonly string[]) => void;
  readonly log?: GuestLogPolicy;
  /** Shared by all guests of the host. */
  readonly logTurns?: LogTurns | undefined;
}

interface Receiver {
  readonly deliver: (records: readonly GuestLogRecord[]) => void;
  readonly end: () => void;
}

export class GuestLogService {
  readonly #listener: GuestListener;
  readonly #ports: GuestLogPorts;
  readonly #first = Promise.withResolvers<void>();
  #reading: Promise<void> = Promise.resolve();

  constructor(listener: GuestListener, ports: GuestLogPorts) {
    this.#listener = listener;
    this.#ports = ports;
  }

  /** Resolves when the guest has connected its log. */
  get first(): Promise<void> {
    return this.#first.promise;
  }

  /** Resolves when the current connection has been read to its end. */
  get drained(): Promise<void> {
    return this.#reading;
  }

  async serve(signal: AbortSignal): Promise<void> {
    const { clock, logTurns, uid } = this.#ports;
    const pauses = new RedialPauses(clock);
    while (!signal.aborted) {
      const stream = await this.#listener.accept(signal);
      this.#first.resolve();
      pauses.connected();
      const receiver = this.#receiver();
      this.#reading = readGuestLog(stream, { vmId: uid }, receiver.deliver, logTurns).then(receiver.end);
      const abandon = () => stream.destroy();
      signal.addEventListener('abort', abandon, { once: true });
      await this.#reading.finally(() => signal.removeEventListener('abort', abandon));
      await pauses.wait(signal);
    }
  }

  /** Logs the gap: guest output is lost while no agent is running. */
  tellOfGap(): void {
    const { clock, uid } = this.#ports;
    const fields = { 'uvm-id': uid, 'vm.time': new Date(clock.now()).toISOString() };
    this.#tell([{ level: 'warning', message: 'guest log gap: the agent was away', fields }]);
  }

  #tell(records: readonly GuestLogRecord[]): void {
    if (records.length === 0) return;
    this.#ports.log?.onRecords?.(records);
    this.#ports.onLines(records.map(logLine));
  }

  /** Processes the records of one connection. */
  #receiver(): Receiver {
    const { clock, log, uid } = this.#ports;
    const deliver = (records: readonly GuestLogRecord[]) =>
      this.#tell(log?.scrub === true ? records.map(scrubRecord) : records);
    if (log?.rate === undefined) return { deliver, end: () => undefined };
    const limiter = new LogLimiter(log.rate, clock, uid);
    return {
      deliver: (records) => {
        const before = limiter.dropped;
        deliver(limiter.admit(records));
        if (limiter.dropped > before) log.onDropped?.(limiter.dropped - before);
      },
      end: () => deliver(limiter.end()),
    };
  }
}
