// V8 keeps the memory that reading a whole fleet took at its highest, long after: 388 MiB resident for 20,000 VMs of which
// 100 are in use (`npm run bench -- store`). One thorough collection gives it back, for a pause of some 100 ms.
import { getHeapStatistics } from 'node:v8';
import { collectGarbage } from '../runtime/garbage-collector.ts';

/** Bytes of heap, below which there is nothing to gain: a small fleet was read. */
const worthwhile = 128 * 1024 * 1024;

/** Only where a pause does no harm: before anything depends on this process. */
export function returnMemory(): void {
  if (getHeapStatistics().total_heap_size >= worthwhile) collectGarbage({ type: 'major', flavor: 'last-resort' });
}
