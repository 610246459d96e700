// The interface of an attack. Each attack is a program that acts on a running system as one of the four hostile parties
// of docs/design.md §10, and reports whether the system kept its promise, with the figure that shows it.
import type { RunningSystem } from '../support/system/running-system.ts';

export type Party = 'namespace editor' | 'agent' | 'guest' | 'stranger';

export interface Finding {
  readonly held: boolean;
  /** The measured value or the answer, for people. */
  readonly figure: string;
}

export interface Attack {
  /** The name of the attack and of its file. */
  readonly name: string;
  readonly party: Party;
  /** What must hold, as one sentence. */
  readonly promise: string;
  /** Whether it takes less than about five seconds. `npm test` runs only such attacks. */
  readonly short: boolean;
  /** Must restore the state of the system: the next attack runs on the same one. */
  run(target: RunningSystem): Promise<Finding>;
}

export const held = (figure: string): Finding => ({ held: true, figure });
export const broken = (figure: string): Finding => ({ held: false, figure });
