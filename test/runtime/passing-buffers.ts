// Allocates 512 MiB of short-lived buffers, and prints how many full garbage collections that caused.
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { z } from 'zod';
import { buffersPass } from '../../runtime/passing-buffers.ts';

const bytes = 64 * 1024;
const collection = z.object({ detail: z.object({ kind: z.number() }) });
let collections = 0;
const observer = new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (collection.parse(entry).detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) collections += 1;
  }
});
observer.observe({ entryTypes: ['gc'] });
for (let passed = 0; passed < 512 << 20; passed += bytes) {
  Buffer.allocUnsafeSlow(bytes);
  buffersPass(bytes);
  if (passed % (1 << 20) === 0) await turn();
}
await turn();
process.stdout.write(`${collections}\n`);
