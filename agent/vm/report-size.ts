// Keeps what the agent says of its VMs within what the operator keeps of it (docs/design.md §10), whatever guests and users
// have put into it: first log text goes, then warnings, then devices, and the report says so.
import { limits, type ObservedVirtualMachine } from '../../protocol/messages.ts';
import { beginning } from '../../runtime/beginning.ts';

type Observed = ObservedVirtualMachine;

/** With more VMs each report gets less, so that all of them stay within the budget of the host. */
const shares = [
  { virtualMachines: 512, bytes: limits.reportBytes },
  { virtualMachines: 1024, bytes: limits.reportBytes / 2 },
  { virtualMachines: limits.virtualMachinesPerHost, bytes: 15.5 * 1024 },
] as const;

/** The size of the largest report of a VM, on a host with so many. */
export function reportShare(virtualMachines: number): number {
  return (shares.find((share) => virtualMachines <= share.virtualMachines) ?? shares[2]).bytes;
}

/** Of a message that must be short, in UTF-16 code units. */
const shortMessage = 128;
/** Room for the warning about what was left out. */
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

/** As a hello has it: log text, warnings and devices follow in a report of their own. */
export function abridgedReport({ devices, ...observed }: Observed): Observed {
  const abridged = { ...observed, guestLog: withoutText(observed), warnings: [], abridged: true };
  return sizeOf(abridged) <= limits.helloBytesPerVirtualMachine ? abridged : withShortMessages(abridged);
}

/** In this order, each only if those before did not suffice. */
const cuts: readonly (readonly [string, (observed: Observed, room: number) => Observed])[] = [
  ['log lines', withFewerLines],
  ['warnings', (observed) => (observed.warnings.length === 0 ? observed : { ...observed, warnings: [] })],
  ['devices', ({ devices, ...rest }) => rest],
  ['the ends of messages', withShortMessages],
];

/** The first lines of a boot and the newest ones are worth most. */
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
