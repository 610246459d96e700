// Handles the crash log that HCS keeps of a guest that crashed (design §11). Its last lines become records of the
// guest's log, and the end of them goes into `lastExit`. The crash log of a confidential guest is dropped, because it
// may show the guest's memory.
import type { GuestLogRecord } from '../guest/log/record.ts';
import { scrubRecord } from '../guest/log/scrubber.ts';
import type { SystemExit } from '../node/backend.ts';
import type { Applied } from '../preparation/applied.ts';
import type { VirtualMachineCore } from './core.ts';

/** Far more than the lines of a kernel panic. */
const mostRecords = 1_024;

/** Adds the crash log to the guest's log. Returns the exit without the lines that must stay secret. */
export function toldExit(vm: VirtualMachineCore, exit: SystemExit): SystemExit {
  const { crashLog, ...rest } = exit;
  if (crashLog === undefined) return exit;
  const { applied, assignment } = vm.store.record;
  if (applied === undefined || isConfidential(applied)) return rest;
  const records = recordsOf(crashLog, vm);
  const isScrubbed = applied.options.ScrubLogs === true;
  const told = isScrubbed ? records.map(scrubRecord) : records;
  vm.log.destinations.tell(told, assignment);
  return isScrubbed ? { ...rest, crashLog: told.map(({ message }) => message).join('\n') } : exit;
}

function isConfidential({ options, policyDigest }: Applied): boolean {
  return options.SecurityPolicyEnabled === true || policyDigest !== undefined || (options.SecurityPolicy ?? '') !== '';
}

function recordsOf(crashLog: string, { ports, uid }: VirtualMachineCore): readonly GuestLogRecord[] {
  const fields = { 'uvm-id': uid, 'vm.time': new Date(ports.clock.now()).toISOString() };
  const lines = crashLog.split(/\r?\n/).filter((line) => line.trim() !== '');
  return lines.slice(-mostRecords).map((message) => ({ level: 'error', message, fields, source: 'crash' }));
}
