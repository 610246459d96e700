// What the controllers need of the agents' sessions. Both calls are idempotent within a session and do nothing without
// one: the next session begins with the whole desired state.
import type { Intent } from '../../../protocol/intent.ts';
import type { Assignment } from '../../../protocol/messages.ts';

export interface DesiredMachine {
  readonly assignment: Assignment;
  /** The text that `assignment.policySHA256` stands for, if the agent needs it (`needsPolicy`). */
  readonly policy: string | undefined;
}

/** What an agent is told of a VM: all of it, or only what can be told (`protocol/intent.ts`). */
export type Told = DesiredMachine | { readonly intent: Intent };

export interface Agents {
  assign(nodeName: string, desired: DesiredMachine): void;
  /** In place of an assignment; an agent of an earlier version hears nothing, and keeps the VM as it is. */
  intend(nodeName: string, intent: Intent): void;
  /** Whether its agent would be sent the text of the policy with this assignment. */
  needsPolicy(nodeName: string, assignment: Assignment): boolean;
  /** Only after a live read of the object has shown that the host must give the VM up (design §1, invariant 2). */
  release(nodeName: string, uid: string): void;
  hasReleased(nodeName: string, uid: string): boolean;
  /** The Node has this uid now; sessions of an earlier one end. */
  nodeIs(nodeName: string, nodeUID: string): void;
  /** Another replica speaks to the node: our session with it ends. */
  surrender(nodeName: string): void;
}
