// Keeps the size of reports within the limits of the operator (docs/design.md §10), whatever guests and users put into
// them. A report that is too large loses log text first, then warnings, then devices, and says so.
import { limits, type ObservedVirtualMachine } from '../../protocol/messages.ts';
import { beginning } from '../../runtime/beginning.ts';

type Observed = ObservedVirtualMachine;

/** With more VMs, each report may be less large, so that all reports stay within the budget of the host. */
const shares = [
  { virtualMachines: 512, bytes: limits.reportBytes },
  { virtualMachines: 1024, bytes: limits.reportBytes / 2 },
  { virtualMachines: limits.virtualMachinesPerHost, bytes: 15.5 * 1024 },
] as const;

/** The largest size of a report on a host with this number of VMs. */
export function reportShare(virtualMachines: number): number {
  return (shares.find((share) => virtualMachines <= share.virtualMachines) ?? shares[2]).bytes;
}

/** The length of a shortened message, in UTF-16 code units. */
const shortMessage = 128;
/** Space for the warning about the parts that were left out. */
const noteBytes = 256;

export function fittedReport(observed: Observed, bytes: number): Observed {
  if (sizeOf(observed) <= bytes) return observed;
  const room = bytes - noteBytes;
  const left: string[] = [];
  let fitted = observed;
  for (const [what, cut] of cuts) {
    const shorter = cut(fitted, room);
    if (shorter === fitted) continue;
    left.push(what);
    fitted = shorter;
    if (sizeOf(fitted) <= room) break;
  }
  const note = `left out here, as the report of the VM would be of more than ${bytes} bytes: ${left.join(', ')}`;
  return { ...fitted, warnings: [note, ...fitted.warnings.slice(0, limits.warnings - 1)] };
}

/** The short report in a hello. Log text, warnings and devices follow in a separate report. */
export function abridgedReport({ devices, ...observed }: Observed): Observed {
  const abridged = { ...observed, guestLog: withoutText(observed), warnings: [], abridged: true };
  return sizeOf(abridged) <= limits.helloBytesPerVirtualMachine ? abridged : withShortMessages(abridged);
}

/** The cuts in their order. A cut is made only if the earlier ones did not suffice. */
const cuts: readonly (readonly [string, (observed: Observed, room: number) => Observed])[] = [
  ['log lines', withFewerLines],
  ['warnings', (observed) => (observed.warnings.length === 0 ? observed : { ...observed, warnings: [] })],
  ['devices', ({ devices, ...rest }) => rest],
  ['the ends of messages', withShortMessages],
];

/** Keeps the first lines of a boot and the newest ones, because they are the most useful. */
function withFewerLines(observed: Observed, room: number): Observed {
  const head = [...observed.guestLog.head];
  const tail = [...observed.guestLog.tail];
  let excess = sizeOf(observed) - room;
  while (excess > 0) {
    const line = tail.shift() ?? head.pop();
    if (line === undefined) break;
    excess -= sizeOf(line) + 1;
  }
  return { ...observed, guestLog: { ...observed.guestLog, head, tail } };
}

function withoutText({ guestLog }: Observed): Observed['guestLog'] {
  return { ...guestLog, head: [], tail: [] };
}

function withShortMessages(observed: Observed): Observed {
  const { conditions, lastExit } = observed;
  return {
    ...observed,
    conditions: conditions.map((condition) => ({ ...condition, message: shortened(condition.message) })),
    ...(lastExit && { lastExit: { ...lastExit, message: shortened(lastExit.message) } }),
  };
}

function shortened(message: string): string {
  if (message.length <= shortMessage) return message;
  return `${beginning(message, shortMessage)}…`;
}

function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
