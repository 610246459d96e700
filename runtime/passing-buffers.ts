// V8 counts the memory of buffers apart from its heap, and collects all of the heap when 64 MB of it have come since the last
// time: several times a second while streams pass through, which took half of the processor time of an operator. Such
// buffers die young, and a collection of young objects alone frees them, for a hundredth of that.
import { collectGarbage } from './garbage-collector.ts';

/** On its way through a process a byte is in three or four buffers, one after another. */
const bytesBetween = 8 << 20;

/** Of all streams: the heap is one. */
let passed = 0;

/** So many bytes came in buffers that soon nobody needs any more. */
export function buffersPass(bytes: number): void {
  passed += bytes;
  if (passed < bytesBetween) return;
  passed = 0;
  collectGarbage({ type: 'minor' });
}
