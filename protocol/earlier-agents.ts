// Log lines of guests, which agents of the previous version still send and nobody reads any more. Such an agent sends
// as many lines as the operator grants, and counts lines as lost while they wait for an acknowledgement. So the
// operator grants what it always granted, acknowledges each message and keeps nothing. The next version can drop this
// file.
import { z } from 'zod';
import { boundedList } from './bounded.ts';
import { agentMessage, limits, type OperatorMessage, type Welcome } from './messages.ts';

/** Lines that may be on the way unacknowledged: the most that such an agent accepts. */
export const grantedLogLines = 2048;
const linesPerMessage = 256;

const uid = z.uuid();
const count = z.int().min(0);

const logs = z.object({
  type: z.literal('logs'),
  uid,
  /** The boot of the VM that printed the lines. */
  boot: count,
  /** Sequence number of the first line; the others follow without gaps. */
  first: count,
  lines: boundedList(z.string().max(limits.logLineChars), linesPerMessage),
});
export type EarlierLogs = z.infer<typeof logs>;

/** The messages that the operator accepts from agents of this version and of the previous one. */
export const messageOfAgents = z.discriminatedUnion('type', [...agentMessage.options, logs]);
export type MessageOfAgents = z.infer<typeof messageOfAgents>;

/** An agent of this version ignores `logWindow` and never sends lines to acknowledge. */
export type MessageToAgents =
  | Exclude<OperatorMessage, Welcome>
  | (Welcome & { readonly logWindow: number })
  | { readonly type: 'logsAck'; readonly uid: string; readonly boot: number; readonly sequence: number };

/** The acknowledgement of a `logs` message; none if the message has no lines. */
export function acknowledgementOf({ uid, boot, first, lines }: EarlierLogs): MessageToAgents | undefined {
  return lines.length === 0 ? undefined : { type: 'logsAck', uid, boot, sequence: first + lines.length - 1 };
}
