// Counts the agent's own events for its metrics.
import type { ReasonCode } from '../../protocol/reasons.ts';
import type { HnsReason } from '../node/hns-error.ts';

export class AgentTally {
  #quarantined = 0;
  #internalErrors = 0;
  readonly #failedChanges = new Map<ReasonCode, number>();
  readonly #hnsFailures = new Map<HnsReason, number>();

  /** A journal file was unreadable and was put aside. */
  journalQuarantined(): void {
    this.#quarantined += 1;
  }

  /** The life of a VM ended with an internal error. */
  internalError(): void {
    this.#internalErrors += 1;
  }

  /** A wanted change of a running VM failed. */
  liveChangeFailed(reason: ReasonCode): void {
    this.#failedChanges.set(reason, (this.#failedChanges.get(reason) ?? 0) + 1);
  }

  /** A call to the Host Networking Service failed or is overdue. */
  hnsFailed(reason: HnsReason): void {
    this.#hnsFailures.set(reason, (this.#hnsFailures.get(reason) ?? 0) + 1);
  }

  get quarantined(): number {
    return this.#quarantined;
  }

  get internalErrors(): number {
    return this.#internalErrors;
  }

  get hnsFailures(): ReadonlyMap<HnsReason, number> {
    return this.#hnsFailures;
  }

  get failedChanges(): ReadonlyMap<ReasonCode, number> {
    return this.#failedChanges;
  }
}
