// Calls that touch the disk run on libuv's pool, which HCS calls use too (agent/windows/computecore): a quarter of it is theirs,
// so that neither kind holds up the other, nor both together what else needs the pool.
import { Gate } from '../bounds/gate.ts';
import { poolSize } from '../bounds/pool-size.ts';

export const fileCalls = new Gate(Math.max(1, Math.floor(poolSize(process.env) / 4)));
