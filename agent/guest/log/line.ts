// One record of the guest's log as the line that users see: time, level, message, then the guest's other members.
import type { GuestLogRecord, JsonValue } from './record.ts';
import { zeroTime } from './time.ts';

/** Members that every record has for programs. People see the same elsewhere. */
const hidden: ReadonlySet<string> = new Set(['uvm-id', 'vm.time']);

export function logLine({ level, message, fields, source }: GuestLogRecord): string {
  const time = fields['vm.time'];
  const stamp = typeof time === 'string' && time !== zeroTime ? `${time} ` : '';
  let line = `${stamp}${level} ${oneLine(message)}`;
  for (const name of Object.keys(fields)) {
    if (!hidden.has(name)) line += ` ${oneLine(name)}=${asText(fields[name] ?? null)}`;
  }
  if (source !== undefined) line += ` source=${source}`;
  return line;
}

function asText(value: JsonValue): string {
  if (typeof value === 'string') return quoteIfNeeded(value);
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : asJson(value);
}

/** A guest may nest values too deeply for this line. */
function asJson(value: JsonValue): string {
  try {
    return oneLine(JSON.stringify(value));
  } catch (error) {
    if (error instanceof RangeError) return '[nested too deeply to be shown]';
    throw error;
  }
}

function quoteIfNeeded(value: string): string {
  return /^[\w./:@+-]+$/.test(value) ? value : oneLine(JSON.stringify(value));
}

// A guest is hostile until proven otherwise: what it writes must not steer the terminal of who reads it.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const control = /[\u0000-\u001f\u007f-\u009f]/g;

function oneLine(text: string): string {
  return text.replace(control, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
