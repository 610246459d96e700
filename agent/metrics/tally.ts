// What the agent counts of itself as it happens, for its metrics.
import type { ReasonCode } from '../../protocol/reasons.ts';

export class AgentTally {
  #quarantined = 0;
  #internalErrors = 0;
  readonly #failedChanges = new Map<ReasonCode, number>();

  /** A journal file could not be read and was put aside. */
  journalQuarantined(): void {
    this.#quarantined += 1;
  }

  /** The life of a VM ended with an error of ours. */
  internalError(): void {
    this.#internalErrors += 1;
  }

  /** A running VM was not changed as it is wanted. */
  liveChangeFailed(reason: ReasonCode): void {
    this.#failedChanges.set(reason, (this.#failedChanges.get(reason) ?? 0) + 1);
  }

  get quarantined(): number {
    return this.#quarantined;
  }

  get internalErrors(): number {
    return this.#internalErrors;
  }

  get failedChanges(): ReadonlyMap<ReasonCode, number> {
    return this.#failedChanges;
  }
}
