// One record of a guest's log as one line of JSON. The line goes to the agent's standard output, where log collectors
// read it, and to the file in the VM's folder. The guest's own fields are in a separate member, so that none can pass
// for one of the agent's.
import type { GuestLogRecord } from '../guest/log/record.ts';
import { zeroTime } from '../guest/log/time.ts';

export interface GuestLogSource {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** Members that the host adds, not the guest. */
const own: ReadonlySet<string> = new Set(['uvm-id', 'vm.time']);

export function guestLogEntry(record: GuestLogRecord, { name, namespace, uid }: GuestLogSource): string {
  const time = record.fields['vm.time'];
  const fields = Object.fromEntries(Object.entries(record.fields).filter(([field]) => !own.has(field)));
  const entry = {
    source: record.source ?? 'guest',
    namespace,
    name,
    uid,
    ...(typeof time === 'string' && time !== zeroTime ? { guestTime: time } : {}),
    level: record.level,
    msg: record.message,
  };
  return withFields(entry, fields);
}

/** A guest may nest values too deeply for this line. */
function withFields(entry: object, fields: object): string {
  try {
    return JSON.stringify({ ...entry, fields });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return JSON.stringify({ ...entry, fields: '[nested too deeply to be shown]' });
  }
}
