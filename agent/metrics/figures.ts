// The values that a scrape of the agent reports, before they are text.
import type { ObservedVirtualMachine } from '../../protocol/messages.ts';
import type { SystemStatistics } from '../node/backend.ts';
import type { AgentTally } from './tally.ts';

export interface MachineFigures {
  readonly uid: string;
  /** Empty for a VM that the operator has not named yet. */
  readonly namespace: string;
  readonly name: string;
  readonly phase: ObservedVirtualMachine['phase'];
  readonly linesDropped: number;
  readonly isAwaitingCall: boolean;
  readonly usage: SystemStatistics;
}

export interface AgentFigures {
  readonly version: string;
  readonly machines: readonly MachineFigures[];
  readonly tally: AgentTally;
  readonly statisticsFailures: number;
  readonly residentBytes: number;
}
