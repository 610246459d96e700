// The log of one VM's guest: the excerpt in the status, the destinations of the lines, and the position where an
// earlier agent stopped.
import type { Logger } from 'pino';
import type { LogPosition } from '../../protocol/streams/messages.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { GuestLogDestinations } from '../guest-log/destinations.ts';
import { GuestLog } from '../guest-log/log.ts';
import type { LogFiles } from '../guest-log/reader.ts';
import type { GuestLogSink } from '../guest-log/sink.ts';
import type { VirtualMachinePorts } from './ports.ts';
import type { MachineRecord } from './record.ts';
import type { RecordStore } from './record-store.ts';

export class VirtualMachineLog {
  /** The excerpt for the status, and the numbers of the lines. */
  readonly excerpt: GuestLog;
  readonly destinations: GuestLogDestinations;
  readonly #sink: GuestLogSink;
  readonly #logger: Logger;

  /** `headChanged`: one of the first lines of a boot came in. */
  constructor({ boot, guestLog, uid }: MachineRecord, ports: VirtualMachinePorts, headChanged: () => void) {
    this.#logger = ports.logger;
    this.excerpt = new GuestLog(boot, guestLog);
    const onDropped = (lines: number) => this.excerpt.countDropped(lines);
    this.#sink = ports.openGuestLog(uid, {
      onDropped,
      onFailure: (error) => this.#logger.error({ error: error.message }, 'the log of the guest cannot be kept'),
    });
    const output = ports.openGuestOutput?.(uid, onDropped);
    this.destinations = new GuestLogDestinations({ uid, log: this.excerpt, sink: this.#sink, output, headChanged });
  }

  get files(): LogFiles {
    return this.#sink;
  }

  /** Call this before the folder that keeps the lines is removed. */
  flush(): Promise<void> {
    return this.#sink.flush();
  }

  /** Continues the numbers of lines where an earlier agent stopped, so that no number is used twice. */
  async continueEarlier(store: RecordStore): Promise<void> {
    const last = await this.#lastPosition();
    if (last === undefined) return;
    this.excerpt.continueAfter(last);
    // The record of a VM can be lost while its log still exists.
    store.change((record) => (last.boot > record.boot ? { ...record, boot: last.boot } : record));
  }

  async #lastPosition(): Promise<LogPosition | undefined> {
    try {
      return await this.#sink.lastPosition();
    } catch (error) {
      this.#logger.warn({ error: messageOf(error) }, 'the log of an earlier run cannot be read');
      return undefined;
    }
  }
}
