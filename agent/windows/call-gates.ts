// Native calls that run on libuv's thread pool, like HCS calls (agent/windows/computecore), which may use half of it. An
// HNS or a disk that hangs takes no thread from the others.
import { Gate } from '../bounds/gate.ts';
import { poolSize } from '../bounds/pool-size.ts';

const quarter = Math.floor(poolSize(process.env) / 4);

/** Calls that touch the disk: at most a quarter of the pool. */
export const fileCalls = new Gate(Math.max(1, quarter));

/** Calls to HNS: a quarter less one, so that one thread stays free even if all other kinds of calls hang. */
export const networkCalls = new Gate(Math.max(1, quarter - 1));
