// What an attack is. Each one is a program that speaks to a running system as one of the four hostile parties of
// docs/design.md §10 does, and reports whether the system kept its promise, with the figure that shows it.
import type { RunningSystem } from '../support/system/running-system.ts';

export type Party = 'namespace editor' | 'agent' | 'guest' | 'stranger';

export interface Finding {
  readonly held: boolean;
  /** What was measured or answered, for a human. */
  readonly figure: string;
}

export interface Attack {
  /** Of the file, too. */
  readonly name: string;
  readonly party: Party;
  /** What must hold, in a sentence. */
  readonly promise: string;
  /** Whether it takes less than about five seconds; only such attacks are a part of `npm test`. */
  readonly short: boolean;
  /** Must leave the system as it found it: the next attack runs against the same one. */
  run(target: RunningSystem): Promise<Finding>;
}

export const held = (figure: string): Finding => ({ held: true, figure });
export const broken = (figure: string): Finding => ({ held: false, figure });
