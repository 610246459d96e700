// V8 keeps the peak memory that a whole fleet needed for a long time, once it was read and once it was reconciled: 360
// MiB resident for 20,000 VMs, of which 110 MiB are in use (`npm run bench -- store`). A thorough collection returns it,
// for a pause of about 200 ms.
import { getHeapStatistics } from 'node:v8';
import { collectGarbage } from '../runtime/garbage-collector.ts';

/** With fewer bytes of heap there is nothing to gain, because the fleet was small. */
const worthwhile = 128 * 1024 * 1024;

/** Call only where a pause does no harm: a Lease, a session and a handshake last many times as long. */
export function returnMemory(): void {
  if (getHeapStatistics().total_heap_size >= worthwhile) collectGarbage({ type: 'major', flavor: 'last-resort' });
}
