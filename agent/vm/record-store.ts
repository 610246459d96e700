// The record of one VM (`record.ts`), and the only place that changes it and writes it to the journal.
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
  /** What the status shows of the trouble of the VM has changed. */
  readonly troubleChanged: () => void;
}

export class RecordStore {
  #record: MachineRecord;
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

  /** The trouble is over, if it is one of these; without any, whatever it is. */
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

  /** For what a full disk must not hold up: releasing. */
  async tryWrite(): Promise<void> {
    await this.write().catch((error: MachineFailure) => {
      this.#ports.logger.error({ error: error.message }, 'journal not written');
    });
  }
}
