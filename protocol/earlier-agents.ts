// What agents of the version before say besides: the lines of their guests' logs, which nobody reads any more. Such an agent
// sends as many lines as the operator grants, and counts lines as lost while they wait for an acknowledgement. So the
// operator grants what it always did, acknowledges each message and keeps nothing. The next version can do without this file.
import { z } from 'zod';
import { boundedList } from './bounded.ts';
import { agentMessage, limits, type OperatorMessage, type Welcome } from './messages.ts';

/** Lines that may be on the way without an acknowledgement: the most that such an agent takes. */
export const grantedLogLines = 2048;
const linesPerMessage = 256;

const uid = z.uuid();
const count = z.int().min(0);

const logs = z.object({
  type: z.literal('logs'),
  uid,
  /** Which run of the VM. */
  boot: count,
  /** Sequence number of the first line; the others follow without gaps. */
  first: count,
  lines: boundedList(z.string().max(limits.logLineChars), linesPerMessage),
});
export type EarlierLogs = z.infer<typeof logs>;

/** What the operator takes from agents of this version and of the one before. */
export const messageOfAgents = z.discriminatedUnion('type', [...agentMessage.options, logs]);
export type MessageOfAgents = z.infer<typeof messageOfAgents>;

/** An agent of this version overlooks `logWindow`, and never has lines to be acknowledged. */
export type MessageToAgents =
  | Exclude<OperatorMessage, Welcome>
  | (Welcome & { readonly logWindow: number })
  | { readonly type: 'logsAck'; readonly uid: string; readonly boot: number; readonly sequence: number };

/** The answer to a message of lines; none to one without any. */
export function acknowledgementOf({ uid, boot, first, lines }: EarlierLogs): MessageToAgents | undefined {
  return lines.length === 0 ? undefined : { type: 'logsAck', uid, boot, sequence: first + lines.length - 1 };
}
