// Every attack, in the order in which they run.
import type { Attack } from './attack.ts';
import { agentStampede, smallStampede } from './attacks/agent-stampede.ts';
import { alternatingReport } from './attacks/alternating-report.ts';
import { badTokens } from './attacks/bad-tokens.ts';
import { bootImageWritable } from './attacks/boot-image-writable.ts';
import { claimedByAnAgent } from './attacks/claimed-by-an-agent.ts';
import { cpuGroup } from './attacks/cpu-group.ts';
import { diskOfAnotherTenant } from './attacks/disk-of-another-tenant.ts';
import { factsFlood } from './attacks/facts-flood.ts';
import { getIsNotExec } from './attacks/get-is-not-exec.ts';
import { giantHaltedVMs } from './attacks/giant-halted-vms.ts';
import { helloFlood } from './attacks/hello-flood.ts';
import { idleConnections } from './attacks/idle-connections.ts';
import { logFlood } from './attacks/log-flood.ts';
import { messageFlood } from './attacks/message-flood.ts';
import { oddPathSpellings } from './attacks/odd-path-spellings.ts';
import { pathTraversal } from './attacks/path-traversal.ts';
import { largePendingCrowd, pendingCrowd } from './attacks/pending-crowd.ts';
import { pinnedPastFilters } from './attacks/pinned-past-filters.ts';
import { pipeOfAnotherTenant } from './attacks/pipe-of-another-tenant.ts';
import { policyOfNewlines } from './attacks/policy-of-newlines.ts';
import { reconnectFlood } from './attacks/reconnect-flood.ts';
import { reportFlood } from './attacks/report-flood.ts';
import { stateFolderAsDisk } from './attacks/state-folder-as-disk.ts';
import { strangerRequests } from './attacks/stranger-requests.ts';

export const attacks: readonly Attack[] = [
  pathTraversal,
  getIsNotExec,
  strangerRequests,
  bootImageWritable,
  stateFolderAsDisk,
  oddPathSpellings,
  pinnedPastFilters,
  giantHaltedVMs,
  claimedByAnAgent,
  factsFlood,
  reportFlood,
  alternatingReport,
  messageFlood,
  helloFlood,
  reconnectFlood,
  badTokens,
  smallStampede,
  idleConnections,
  agentStampede,
  policyOfNewlines,
  logFlood,
  pipeOfAnotherTenant,
  diskOfAnotherTenant,
  cpuGroup,
  pendingCrowd,
  largePendingCrowd,
];
