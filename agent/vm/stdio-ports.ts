// The ports on which a guest dials for the streams of its processes. They are written down in blocks, well before they are
// used: no agent uses one again that an earlier one has used.
import { firstStdioPort } from '../guest/bridge/processes.ts';
import type { GuestRunPorts } from '../run/guest-run.ts';
import type { MachineContext } from './context.ts';

/** More than twice what all processes that a guest may have at once take. */
const ahead = 1024;

/** Of a run that begins: the record has the first block, and is written before. */
export function stdioPorts(machine: MachineContext): NonNullable<GuestRunPorts['stdio']> {
  const firstPort = machine.record.nextStdioPort ?? firstStdioPort;
  let writtenDown = firstPort + ahead;
  machine.record = { ...machine.record, nextStdioPort: writtenDown };
  return {
    firstPort,
    onNextPort: (port) => {
      if (port + ahead / 2 < writtenDown) return;
      writtenDown = port + ahead;
      machine.record = { ...machine.record, nextStdioPort: writtenDown };
      void machine.tryWrite();
    },
  };
}
