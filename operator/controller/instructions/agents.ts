// What the controllers need from the agents' sessions. The calls are idempotent within a session and do nothing without
// one: the next session begins with the whole desired state.
import type { Intent } from '../../../protocol/intent.ts';
import type { Assignment } from '../../../protocol/messages.ts';

export interface DesiredMachine {
  readonly assignment: Assignment;
  /** The text with the digest `assignment.policySHA256`, if the agent needs it (`needsPolicy`). */
  readonly policy: string | undefined;
}

/** What is sent to an agent about a VM: an assignment, or only the intent (`protocol/intent.ts`). */
export type Told = DesiredMachine | { readonly intent: Intent };

export interface Agents {
  assign(nodeName: string, desired: DesiredMachine): void;
  /**
   * Sends an intent instead of an assignment. An agent of an earlier version receives nothing and keeps the VM
   * unchanged.
   */
  intend(nodeName: string, intent: Intent): void;
  /** Whether this assignment would be sent together with the text of its policy. */
  needsPolicy(nodeName: string, assignment: Assignment): boolean;
  /** Call only after a live read of the object has shown that the host must give up the VM (design §1, invariant 2). */
  release(nodeName: string, uid: string): void;
  hasReleased(nodeName: string, uid: string): boolean;
  /** The Node has this uid now. Sessions of an earlier Node end. */
  nodeIs(nodeName: string, nodeUID: string): void;
  /** Another replica has a session with the node: ours ends. */
  surrender(nodeName: string): void;
}
