// One value of the guest's log stream becomes one record (hcs-runtime D.4, steps 1 to 7). The guest writes with a Go
// library and the rules are those of its decoder: names of the standard members in any letter case, the last of several
// wins, null counts as absent.
import { normaliseTime, zeroTime } from './log-time.ts';

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

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
type Member = readonly [name: string, value: JsonValue];
type Members = readonly Member[];
type Fields = Record<string, JsonValue>;

/** A Windows guest's event log entries carry their text in one of these members (step 4). */
const eventTextNames = ['message', 'Message'];

class Refused extends Error {}

/** `value` is what `text` parses to, `text` one complete JSON value. */
export function toLogRecord(text: string, value: JsonValue, vmId: string): LogValue {
  try {
    return { ok: true, record: makeRecord(membersOf(text, value), vmId) };
  } catch (error) {
    if (error instanceof Refused) return { ok: false, reason: error.message };
    throw error;
  }
}

function makeRecord(members: Members, vmId: string): GuestLogRecord {
  let level: LogLevel = 'info';
  let time = zeroTime;
  let message = '';
  const fields: Fields = {};
  for (const [name, value] of members) {
    const standard = standardName(name);
    if (standard !== name) setField(fields, name, normaliseNumber(value));
    if (standard === undefined || value === null) continue;
    if (standard === 'level') level = readLevel(value);
    else if (standard === 'time') time = readTime(value);
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
  const level = typeof value === 'string' ? levels.get(value.toLowerCase()) : undefined;
  if (level === undefined) throw new Refused(`not a valid level: ${clip(value)}`);
  return level;
}

function readTime(value: JsonValue): string {
  const time = typeof value === 'string' ? normaliseTime(value) : undefined;
  if (time === undefined) throw new Refused(`not a valid time: ${clip(value)}`);
  return time;
}

function readMessage(value: JsonValue): string {
  if (typeof value !== 'string') throw new Refused(`the message is not a text: ${clip(value)}`);
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
  // The long s is the one letter outside ASCII that folds onto a letter of these names.
  const folded = name.toLowerCase().replaceAll('ſ', 's');
  return standardNames.find((standard) => standard === folded);
}

/** The members in order. Null stands for an object without any (D.4, step 6). */
function membersOf(text: string, value: JsonValue): Members {
  if (value === null) return [];
  if (typeof value !== 'object' || isList(value)) throw new Refused(`not an object: ${clip(value)}`);
  if (hasInfinity(value)) throw new Refused('a number is beyond the range of floats');
  const members = Object.entries(value);
  return needsCare(text, members) ? writtenMembers(text) : members;
}

function isList(value: object): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** Whether order or escapes matter, which `JSON.parse` hides: it merges equal names and keeps lone surrogates. */
function needsCare(text: string, members: Members): boolean {
  if (text.includes('\\u')) return true;
  const isRepeated = (quoted: string) => text.indexOf(quoted) !== text.lastIndexOf(quoted);
  if (isRepeated('"time"') || isRepeated('"level"') || isRepeated('"msg"')) return true;
  return members.some(([name]) => {
    const standard = standardName(name);
    return standard !== undefined && standard !== name;
  });
}

/** Strings whole, and the characters that structure JSON. */
const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]/g;

const depthChanges: ReadonlyMap<string, number> = new Map([
  ['{', 1],
  ['[', 1],
  ['}', -1],
  [']', -1],
]);

/** The members of an object as they are written, with repetitions. */
function writtenMembers(text: string): Members {
  const members: Member[] = [];
  let name = '""';
  let valueStart: number | undefined;
  for (const [found, index] of outerTokens(text)) {
    if (found === ':') valueStart = index + 1;
    else if (valueStart === undefined) name = found;
    else if (found === ',' || found === '}') {
      members.push([String(wellFormed(parse(name))), wellFormed(parse(text.slice(valueStart, index)))]);
      valueStart = undefined;
    }
  }
  return members;
}

/** The tokens of the object itself: names, texts, colons and commas, and its closing brace. */
function* outerTokens(text: string): Generator<readonly [token: string, index: number]> {
  let depth = 0;
  for (const { 0: found, index } of text.matchAll(token)) {
    const change = depthChanges.get(found) ?? 0;
    depth += change;
    if (change < 0 ? depth === 0 : depth === 1 && change === 0) yield [found, index];
  }
}

function parse(text: string): JsonValue {
  return JSON.parse(text);
}

function hasInfinity(value: JsonValue): boolean {
  if (typeof value === 'number') return !Number.isFinite(value);
  if (typeof value !== 'object' || value === null) return false;
  return Object.values(value).some(hasInfinity);
}

/** Lone surrogates become U+FFFD, as every other text that is no Unicode. */
function wellFormed(value: JsonValue): JsonValue {
  if (typeof value === 'string') return value.toWellFormed();
  if (typeof value !== 'object' || value === null) return value;
  if (isList(value)) return value.map(wellFormed);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name.toWellFormed(), wellFormed(inner)]));
}

function clip(value: JsonValue): string {
  return JSON.stringify(value).slice(0, 80);
}
