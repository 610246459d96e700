// Changes of a VM's record that its process makes. Pure. The exit code decides how a VM with a process ended, whatever
// HCS says about its end.
import type { LastExit } from '../../../protocol/messages.ts';
import { beginning } from '../../../runtime/beginning.ts';
import { plainText } from '../../../runtime/plain-text.ts';
import type { MachineRecord } from '../record.ts';
import { afterEvent, endedWell, isOpen, type ProcessEvent, processText } from './state.ts';

/** The longest text that is taken from a guest. */
const maxDetailChars = 512;

export function hasProcess({ applied }: MachineRecord): boolean {
  return applied?.options.ProcessCommand !== undefined;
}

export function processChanged(record: MachineRecord, event: ProcessEvent, now: string): MachineRecord {
  const { process: before, ...rest } = record;
  const process = afterEvent(before, event, now);
  return process === undefined ? rest : { ...rest, process };
}

/** Nothing of the run is left: a process that is still open has ended with it. */
export function processGone(record: MachineRecord, now: string): MachineRecord {
  return isOpen(record.process) ? processChanged(record, { kind: 'lost' }, now) : record;
}

/** The end of the VM that the end of its process is. `detail`: the guest's words about it. */
export function exitOfProcess({ process }: MachineRecord, time: string, detail?: string): LastExit {
  const isGood = process !== undefined && endedWell(process);
  const more = detail === undefined ? '' : `: ${beginning(plainText(detail), maxDetailChars)}`;
  return { type: isGood ? 'GracefulExit' : 'UnexpectedExit', time, message: `${processText(process)}${more}` };
}

/** The end of a VM, as HCS reported it. It is no good end unless the process ended well. */
export function judgedByProcess(record: MachineRecord, exit: LastExit): LastExit {
  const { process } = record;
  if (!hasProcess(record) || (process !== undefined && endedWell(process))) return exit;
  const type = exit.type === 'GracefulExit' ? 'UnexpectedExit' : exit.type;
  return { ...exit, type, message: `${exit.message}; ${processText(process)}` };
}
