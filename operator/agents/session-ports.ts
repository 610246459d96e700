// What a session needs from the rest of the operator, and the events that it reports.
import type { Logger } from 'pino';
import type { NetworkFacts } from '../../protocol/network-facts.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Acceptance } from '../controller/hosts.ts';
import type { Told } from '../controller/instructions/agents.ts';
import type { Inventory } from '../controller/knowledge/inventory.ts';
import type { HostIntroduction } from '../controller/status/host-status.ts';
import type { AgentSession } from './session.ts';

export interface AgentObserver {
  received(type: string): void;
  sent(type: string): void;
  /** Reports something that a well-behaved agent does not do. Each kind has a counter. */
  misbehaved(what: UnexpectedFromAgent): void;
}

export type UnexpectedFromAgent =
  | 'malformed_message'
  | 'unparsable_report'
  | 'message_before_hello'
  | 'second_hello'
  | 'too_many_virtual_machines'
  | 'hello_too_long'
  | 'too_many_messages'
  | 'too_many_sessions'
  | 'too_many_connections'
  | 'removed_unknown_vm';

export interface SessionPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly observer: AgentObserver;
  readonly inventory: Inventory;
  readonly replica: string;
  readonly heartbeatSeconds: number;
  /** Takes the session's epoch. */
  readonly accept: (nodeName: string, introduction: HostIntroduction) => Promise<Acceptance>;
  /** The networks of the host have changed. */
  readonly networks: (nodeName: string, network: NetworkFacts) => void;
  /** The desired state of all VMs of the host, as of now. */
  readonly desired: (nodeName: string) => AsyncIterable<Told>;
}

export interface AgentIdentity {
  readonly nodeName: string;
  readonly nodeUID?: string;
}

export interface SessionEvents {
  /** The session has its epoch: it speaks for the node from now on, and no earlier one does. */
  accepted(session: AgentSession): void;
  /** The whole desired state has been sent. */
  live(session: AgentSession): void;
}
