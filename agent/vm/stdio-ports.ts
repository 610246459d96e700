// The ports on which a guest dials for the streams of its processes. They are written down in blocks, well before they are
// used: no agent uses one again that an earlier one has used.
import { firstStdioPort } from '../guest/bridge/processes.ts';
import type { GuestRunPorts } from '../run/guest-run.ts';
import type { MachineRecord } from './record.ts';
import type { RecordStore } from './record-store.ts';

/** More than twice what all processes that a guest may have at once take. */
const ahead = 1024;

/** Of a run that begins: the record has the first block, and is written before. */
export function stdioPorts(store: RecordStore): NonNullable<GuestRunPorts['stdio']> {
  const firstPort = store.record.nextStdioPort ?? firstStdioPort;
  let writtenDown = firstPort + ahead;
  store.change(withNextPort, writtenDown);
  return {
    firstPort,
    onNextPort: (port) => {
      if (port + ahead / 2 < writtenDown) return;
      writtenDown = port + ahead;
      store.change(withNextPort, writtenDown);
      void store.tryWrite();
    },
  };
}

function withNextPort(record: MachineRecord, nextStdioPort: number): MachineRecord {
  return { ...record, nextStdioPort };
}
