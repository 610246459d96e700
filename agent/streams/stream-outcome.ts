/** How a stream ended; empty for a stream without an exit code. */
export interface StreamOutcome {
  readonly exitCode?: number;
}
