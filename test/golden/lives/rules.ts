// The differences that are on purpose, each by what differs and never by the life in which it does. The first that explains a
// difference counts.
import {
  afterTheEnd,
  bothLimits,
  copies,
  diskAccess,
  disksNeedBridge,
  memoryRefresh,
  mountLooks,
  networkNamespaces,
  nothingToChange,
  nullGroupFirst,
} from './change-rules.ts';
import { disconnected, endOfLife, startRefused, stopAgain, stoppedIsDone, terminateAfterExit } from './ending-rules.ts';
import {
  entropy,
  execWithoutBridge,
  foreignAnswers,
  logConnection,
  logListener,
  openListeners,
  redial,
  signals,
} from './guest-rules.ts';
import type { Rule } from './rule.ts';
import {
  eventOptions,
  firstQuery,
  hostAskedAgain,
  leftovers,
  operations,
  overdueCalls,
  stateQueries,
} from './service-rules.ts';

export const rules: readonly Rule[] = [
  operations,
  eventOptions,
  firstQuery,
  entropy,
  openListeners,
  logConnection,
  logListener,
  disconnected,
  endOfLife,
  startRefused,
  overdueCalls,
  terminateAfterExit,
  stoppedIsDone,
  stopAgain,
  stateQueries,
  leftovers,
  hostAskedAgain,
  redial,
  foreignAnswers,
  signals,
  execWithoutBridge,
  diskAccess,
  disksNeedBridge,
  mountLooks,
  memoryRefresh,
  nullGroupFirst,
  bothLimits,
  nothingToChange,
  networkNamespaces,
  copies,
  afterTheEnd,
];
