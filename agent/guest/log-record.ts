// One value of the guest's log stream becomes one record (hcs-runtime D.4, steps 1 to 7). The guest writes with a Go
// library and the rules are those of its decoder: names of the standard members in any letter case, the last of several
// wins, null counts as absent.
import { readFlatMembers } from './flat-json.ts';
import { type JsonValue, type Members, NumberOutOfRange, readMembers } from './json-members.ts';
import { normaliseTime, zeroTime } from './log-time.ts';

export type { JsonValue } from './json-members.ts';

export type LogLevel = 'error' | 'warning' | 'info' | 'debug' | 'trace';

export interface GuestLogRecord {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, JsonValue>>;
}

export type LogValue =
  | { readonly ok: true; readonly record: GuestLogRecord }
  | { readonly ok: false; readonly reason: string };

/** The guest's level names; what is more severe than an error is reported as one (step 2). */
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

/** A Windows guest's event log entries carry their text in one of these members (step 4). */
const eventTextNames = ['message', 'Message'];

class Refused extends Error {}

/** `text` is one complete JSON value, or anything else that then is undefined. */
export function toLogRecord(text: string, vmId: string): LogValue | undefined {
  try {
    const members = readFlatMembers(text) ?? parsedMembers(text);
    return members === undefined ? undefined : { ok: true, record: makeRecord(members, vmId) };
  } catch (error) {
    if (error instanceof Refused || error instanceof NumberOutOfRange) return { ok: false, reason: error.message };
    throw error;
  }
}

function makeRecord(members: Members, vmId: string): GuestLogRecord {
  let level: LogLevel = 'info';
  let time = zeroTime;
  let message = '';
  const fields: Fields = {};
  for (const member of members) {
    const name = member[0];
    const value = member[1];
    const standard = standardName(name);
    if (standard !== name) setField(fields, name, normaliseNumber(value));
    if (standard === undefined || value === null) continue;
    if (standard === 'level') level = readLevel(value);
    else if (standard === 'time') time = readTime(value, member[2]);
    else message = readMessage(value);
  }
  message = takeEventText(fields) ?? message;
  fields['uvm-id'] = vmId;
  fields['vm.time'] = time;
  return { level, message, fields };
}

function setField(fields: Fields, name: string, value: JsonValue): void {
  // An assignment to this one name would set the prototype.
  if (name === '__proto__')
    Object.defineProperty(fields, name, { value, configurable: true, enumerable: true, writable: true });
  else fields[name] = value;
}

function readLevel(value: JsonValue): LogLevel {
  const level = typeof value === 'string' ? (levels.get(value) ?? levels.get(lowerCase(value))) : undefined;
  if (level === undefined) throw new Refused('not a valid level');
  return level;
}

/** One character for one, as the guest's library does it: `İ` is an `i` and nothing else. */
function lowerCase(text: string): string {
  return text.replaceAll('\u{130}', 'i').toLowerCase();
}

function readTime(value: JsonValue, isEscaped = false): string {
  const time = typeof value === 'string' && !isEscaped ? normaliseTime(value) : undefined;
  if (time === undefined) throw new Refused('not a valid time');
  return time;
}

function readMessage(value: JsonValue): string {
  if (typeof value !== 'string') throw new Refused('the message is not a text');
  return value;
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

/** Step 5 makes integers of whole numbers, and an integer has no negative zero. */
function normaliseNumber(value: JsonValue): JsonValue {
  return value === 0 ? 0 : value;
}

function standardName(name: string): StandardName | undefined {
  if (name.length < 3 || name.length > 5) return undefined;
  if (name === 'time' || name === 'level' || name === 'msg') return name;
  // The long s is the one letter outside ASCII that folds onto a letter of these names.
  const folded = name.toLowerCase().replaceAll('ſ', 's');
  return standardNames.find((standard) => standard === folded);
}

/** The members in order. Null stands for an object without any (D.4, step 6). */
function parsedMembers(text: string): Members | undefined {
  const parsed = tryParse(text);
  if (parsed === undefined) return undefined;
  if (parsed.value === null) return [];
  if (typeof parsed.value !== 'object' || Array.isArray(parsed.value))
    throw new Refused(`not an object: ${clip(text)}`);
  return readMembers(text);
}

/** Only to learn whether the text is JSON and of which kind. */
function tryParse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function clip(text: string): string {
  return text.slice(0, 80);
}
