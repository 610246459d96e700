// Turns one value of the guest's log stream into one record (hcs-runtime D.4, steps 1 to 7). The guest writes with a Go
// library, and the rules are those of its decoder: standard names in any letter case, the last of several wins, null
// counts as absent.
import { beginning } from '../../../runtime/beginning.ts';
import { readFlatMembers } from './flat-json.ts';
import { type JsonValue, type Members, readMembers } from './json-members.ts';
import { normaliseTime, zeroTime } from './time.ts';

export type { JsonValue } from './json-members.ts';

export type LogLevel = 'error' | 'warning' | 'info' | 'debug' | 'trace';

export interface GuestLogRecord {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, JsonValue>>;
  /** Absent: the guest logged this record. `crash`: HCS kept it when the guest crashed. `process`: the VM's process wrote it. */
  readonly source?: 'crash' | 'process';
}

export type LogValue =
  | { readonly ok: true; readonly record: GuestLogRecord }
  | { readonly ok: false; readonly reason: string };

/** The guest's level names. Anything more severe than an error is reported as an error (step 2). */
const levels: ReadonlyMap<string, LogLevel> = new Map([
  ['panic', 'error'],
  ['fatal', 'error'],
  ['error', 'error'],
  ['warn', 'warning'],
  ['warning', 'warning'],
  ['info', 'info'],
  ['debug', 'debug'],
  ['trace', 'trace'],
]);

const standardNames = ['time', 'level', 'msg'] as const;
type StandardName = (typeof standardNames)[number];
type Fields = Record<string, JsonValue>;

/** Event log entries of a Windows guest have their text in one of these members (step 4). */
const eventTextNames = ['message', 'Message'];

// A faulty value is a result, never an exception: a guest may write only faulty values, and each exception would cost
// as much as reading a hundred lines.

/** `text` is one complete JSON value that starts at the first character. */
export function toLogRecord(text: string, vmId: string): LogValue {
  return readFlatRecord(text, vmId) ?? readRecord(text, vmId);
}

/** Takes any text. Undefined when it is not one JSON object of the usual shape. */
export function readFlatRecord(text: string, vmId: string): LogValue | undefined {
  const members = readFlatMembers(text);
  return members && makeRecord(members, vmId);
}

function readRecord(text: string, vmId: string): LogValue {
  // Null counts as an object without members (D.4, step 6).
  if (text === 'null') return makeRecord([], vmId);
  if (!text.startsWith('{')) return refused(`not an object: ${beginning(text, 80)}`);
  let reason: string | undefined;
  const members = readMembers(text, (number) => {
    reason ??= `a number is beyond the range of floats: ${number}`;
  });
  return reason === undefined ? makeRecord(members, vmId) : refused(reason);
}

function refused(reason: string): LogValue {
  return { ok: false, reason };
}

/** Values of the standard members; the defaults are those of the guest's library. */
interface Standard {
  level: LogLevel;
  time: string;
  msg: string;
}

function makeRecord(members: Members, vmId: string): LogValue {
  const standard: Standard = { level: 'info', time: zeroTime, msg: '' };
  const fields: Fields = {};
  for (const member of members) {
    const name = member[0];
    const value = member[1];
    const known = standardName(name);
    if (known !== name) setField(fields, name, normaliseNumber(value));
    if (known === undefined || value === null) continue;
    const problem = readers[known](standard, value, member[2] === true);
    if (problem !== undefined) return refused(problem);
  }
  const message = takeEventText(fields) ?? standard.msg;
  fields['uvm-id'] = vmId;
  fields['vm.time'] = standard.time;
  return { ok: true, record: { level: standard.level, message, fields } };
}

/** Each reader returns what is wrong with the value, if anything. */
const readers: Readonly<
  Record<StandardName, (into: Standard, value: JsonValue, isEscaped: boolean) => string | undefined>
> = {
  level(into, value) {
    const level = typeof value === 'string' ? (levels.get(value) ?? levels.get(lowerCase(value))) : undefined;
    if (level === undefined) return 'not a valid level';
    into.level = level;
    return undefined;
  },
  time(into, value, isEscaped) {
    const time = typeof value === 'string' && !isEscaped ? normaliseTime(value) : undefined;
    if (time === undefined) return 'not a valid time';
    into.time = time;
    return undefined;
  },
  msg(into, value) {
    if (typeof value !== 'string') return 'the message is not a text';
    into.msg = value;
    return undefined;
  },
};

function setField(fields: Fields, name: string, value: JsonValue): void {
  // An assignment to this name would set the prototype.
  if (name === '__proto__')
    Object.defineProperty(fields, name, { value, configurable: true, enumerable: true, writable: true });
  else fields[name] = value;
}

/** Maps one character to one, as the guest's library does: `İ` becomes `i` alone. */
function lowerCase(text: string): string {
  return text.replaceAll('\u{130}', 'i').toLowerCase();
}

function takeEventText(fields: Fields): string | undefined {
  if (fields['Source'] !== 'ETW') return undefined;
  for (const name of eventTextNames) {
    const value = fields[name];
    if (typeof value !== 'string') continue;
    delete fields[name];
    return value;
  }
  return undefined;
}

/** Step 5 makes whole numbers integers, and an integer has no negative zero. */
function normaliseNumber(value: JsonValue): JsonValue {
  return value === 0 ? 0 : value;
}

function standardName(name: string): StandardName | undefined {
  if (name.length < 3 || name.length > 5) return undefined;
  if (name === 'time' || name === 'level' || name === 'msg') return name;
  // The long s is the only letter outside ASCII that folds to a letter of these names.
  const folded = name.toLowerCase().replaceAll('ſ', 's');
  return standardNames.find((standard) => standard === folded);
}
