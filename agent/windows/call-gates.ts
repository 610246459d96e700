// Native calls that touch the disk. They run on libuv's thread pool, like HCS calls (agent/windows/computecore). Each
// kind of call may use a quarter of the pool, so half always stays free for others.
import { Gate } from '../bounds/gate.ts';
import { poolSize } from '../bounds/pool-size.ts';

export const fileCalls = new Gate(Math.max(1, Math.floor(poolSize(process.env) / 4)));
