// Connects one run of a guest to its VM: the destination of its log, and the listeners for its phases and connection.
import type { BootTimings } from '../../protocol/messages.ts';
import type { GuestLogRecord } from '../guest/log/record.ts';
import { expectationsOf } from '../run/expectations.ts';
import type { GuestRunPorts } from '../run/guest-run.ts';
import type { VirtualMachineCore } from './core.ts';
import * as history from './history.ts';
import { stdioPorts } from './stdio-ports.ts';

export function guestRunPorts(vm: VirtualMachineCore): GuestRunPorts {
  const { faults, listener, log, ports, store, uid, wakeup } = vm;
  const { applied } = store.record;
  return {
    ...ports,
    uid,
    expects: expectationsOf(applied?.options),
    onLines: faults.guarded((lines: readonly string[]) => log.destinations.tellLines(lines)),
    stdio: stdioPorts(store),
    log: {
      scrub: applied?.options.ScrubLogs ?? false,
      rate: ports.guestLogRate,
      onRecords: faults.guarded((records: readonly GuestLogRecord[]) =>
        log.destinations.tellRecords(records, store.record.assignment),
      ),
      onDropped: (records) => log.excerpt.countDropped(records),
    },
    onPhase: faults.guarded((phase: keyof BootTimings) => {
      store.change(history.timed, phase, vm.now());
      listener.changed();
    }),
    onConnection: faults.guarded(() => {
      // Changes of disks may have waited for the guest.
      wakeup.notify();
      listener.changed();
    }),
  };
}
