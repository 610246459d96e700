/** What a stream ended with; nothing for what has no exit code. */
export interface StreamOutcome {
  readonly exitCode?: number;
}
