// V8 counts the memory of buffers apart from its heap and collects the whole heap after every 64 MB of new buffers.
// While streams pass through, that happened several times a second and took half of the operator's processor time. Such
// buffers die young, so a collection of young objects alone frees them at a hundredth of the cost.
import { collectGarbage } from './garbage-collector.ts';

/** A byte is in three or four buffers, one after another, on its way through a process. */
const bytesBetween = 8 << 20;

/** Counts all streams together, because they share one heap. */
let passed = 0;

/** Call with the bytes of buffers that are needed only briefly. */
export function buffersPass(bytes: number): void {
  passed += bytes;
  if (passed < bytesBetween) return;
  passed = 0;
  collectGarbage({ type: 'minor' });
}
