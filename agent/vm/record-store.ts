// Holds the record of one VM (`record.ts`). Only this class changes the record and writes it to the journal.
import type { Logger } from 'pino';
import type { ReasonCode } from '../../protocol/reasons.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { MachineFailure } from '../failure.ts';
import type { Trouble } from './conditions.ts';
import type { Journal } from './journal.ts';
import type { MachineRecord } from './record.ts';

export interface RecordStorePorts {
  readonly journal: Pick<Journal, 'write'>;
  readonly logger: Logger;
  /** The trouble of the VM that the status shows has changed. */
  readonly troubleChanged: () => void;
}

export class RecordStore {
  #record: MachineRecord;
  /** The latest write that no step waits for. Writes of one VM happen in their order, so it ends last. */
  #unawaited: Promise<void> = Promise.resolve();
  readonly #ports: RecordStorePorts;

  constructor(record: MachineRecord, ports: RecordStorePorts) {
    this.#record = record;
    this.#ports = ports;
  }

  get record(): MachineRecord {
    return this.#record;
  }

  change<Rest extends readonly unknown[]>(
    how: (record: MachineRecord, ...rest: Rest) => MachineRecord,
    ...rest: Rest
  ): void {
    this.#record = how(this.#record, ...rest);
  }

  setTrouble({ reason, message }: Trouble): void {
    this.#record = { ...this.#record, trouble: { reason, message } };
    this.#ports.troubleChanged();
  }

  /** Clears the trouble if it has one of these reasons. Without arguments, clears any trouble. */
  clearTrouble(...over: readonly ReasonCode[]): void {
    const { trouble, ...rest } = this.#record;
    if (trouble !== undefined && (over.length === 0 || over.includes(trouble.reason))) this.#record = rest;
  }

  async write(): Promise<void> {
    try {
      await this.#ports.journal.write(this.#record);
    } catch (error) {
      throw new MachineFailure('JournalUnwritable', `cannot write the journal: ${messageOf(error)}`, error);
    }
  }

  /** Writes the record, but does not fail: a full disk must not keep a VM from being released. */
  async tryWrite(): Promise<void> {
    await this.write().catch((error: MachineFailure) => {
      this.#ports.logger.error({ error: error.message }, 'journal not written');
    });
  }
  /** As `tryWrite`, for a step that need not wait for it. */
  writeLater(): void {
    this.#unawaited = this.tryWrite();
  }

  /** Resolves when no write of `writeLater` is under way. */
  settled(): Promise<void> {
    return this.#unawaited;
  }
}
