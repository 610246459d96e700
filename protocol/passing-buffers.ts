// V8 counts the memory of buffers apart from its heap, and collects all of the heap when 64 MB of it have come since the last
// time: several times a second while streams pass through, which took half of the processor time of an operator. Such
// buffers die young, and a collection of young objects alone frees them, for a hundredth of that.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { z } from 'zod';

/** On its way through a process a byte is in three or four buffers, one after another. */
const bytesBetween = 8 << 20;

const collector = z.custom<(options: { readonly type: 'minor' }) => void>((value) => typeof value === 'function');

let passed = 0;
let collect: z.infer<typeof collector> | undefined;

/** So many bytes came in buffers that soon nobody needs any more. */
export function buffersPass(bytes: number): void {
  passed += bytes;
  if (passed < bytesBetween) return;
  passed = 0;
  collect ??= findCollector();
  collect({ type: 'minor' });
}

function findCollector(): z.infer<typeof collector> {
  setFlagsFromString('--expose-gc');
  return collector.parse(runInNewContext('gc'));
}
