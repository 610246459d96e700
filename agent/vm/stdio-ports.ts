// The ports that a guest dials for the streams of its processes. The record has them in blocks, well before they are
// used, so no agent uses a port again that an earlier agent used.
import { firstStdioPort } from '../guest/bridge/processes.ts';
import type { GuestRunPorts } from '../run/guest-run.ts';
import type { MachineRecord } from './record.ts';
import type { RecordStore } from './record-store.ts';

/** More than twice the number of ports for the most processes that a guest may run at the same time. */
const ahead = 1024;

/** Call this when a run begins: the record gets the first block, and is written before a port is used. */
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
      store.writeLater();
    },
  };
}

function withNextPort(record: MachineRecord, nextStdioPort: number): MachineRecord {
  return { ...record, nextStdioPort };
}
