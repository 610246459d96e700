// V8 keeps the peak memory that reading a whole fleet needed for a long time: 388 MiB resident for 20,000 VMs, of which
// 100 MiB are in use (`npm run bench -- store`). One thorough collection returns it, for a pause of some 100 ms.
import { getHeapStatistics } from 'node:v8';
import { collectGarbage } from '../runtime/garbage-collector.ts';

/** With fewer bytes of heap there is nothing to gain, because the fleet was small. */
const worthwhile = 128 * 1024 * 1024;

/** Call only where a pause does no harm: before anything depends on this process. */
export function returnMemory(): void {
  if (getHeapStatistics().total_heap_size >= worthwhile) collectGarbage({ type: 'major', flavor: 'last-resort' });
}
