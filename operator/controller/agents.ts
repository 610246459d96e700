// What the controllers need of the agents' sessions. Both calls are idempotent within a session and do nothing without
// one: the next session begins with the whole desired state.
import type { Assignment } from '../../protocol/messages.ts';

export interface DesiredMachine {
  readonly assignment: Assignment;
  /** The text that `assignment.policySHA256` stands for, if the agent needs it (`needsPolicy`). */
  readonly policy: string | undefined;
}

export interface Agents {
  assign(nodeName: string, desired: DesiredMachine): void;
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
