// The way of a process' output into the log of its VM.
import type { Readable } from 'node:stream';
import type { GuestLogRecord } from '../../guest/log/record.ts';
import { scrubRecord } from '../../guest/log/scrubber.ts';
import type { VirtualMachineCore } from '../core.ts';
import { type OutputName, ProcessOutput } from './output.ts';

export function outputToLog(
  vm: VirtualMachineCore,
  streams: Readonly<Partial<Record<OutputName, Readable | undefined>>>,
): ProcessOutput {
  const { faults, log, ports } = vm;
  return new ProcessOutput(streams, {
    clock: ports.clock,
    turns: ports.logTurns,
    rate: ports.guestLogRate,
    onLines: faults.guarded((lines: readonly string[], from: OutputName) => {
      tell(
        vm,
        lines.map((line) => recordOf(vm, line, from)),
      );
    }),
    flushed: () => log.flush(),
  });
}

/** Logs the gap: what the connection to an earlier agent had taken, and that agent had not written, is lost. */
export function tellOfProcessGap(vm: VirtualMachineCore): void {
  const fields = { 'uvm-id': vm.uid, 'vm.time': vm.now() };
  tell(vm, [{ level: 'warning', message: 'process output gap: the agent was away', fields, source: 'process' }]);
}

function tell({ log, store }: VirtualMachineCore, records: readonly GuestLogRecord[]): void {
  const scrubs = store.record.applied?.options.ScrubLogs === true;
  log.destinations.tell(scrubs ? records.map(scrubRecord) : records, store.record.assignment);
}

function recordOf(vm: VirtualMachineCore, message: string, from: OutputName): GuestLogRecord {
  const fields = { 'uvm-id': vm.uid, 'vm.time': vm.now(), ...(from === 'stderr' && { stream: from }) };
  return { level: 'info', message, fields, source: 'process' };
}
