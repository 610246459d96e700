// The program imports this before everything else. Native calls, file copies, file reads and name look-ups share the
// threads of libuv's pool, which has four unless UV_THREADPOOL_SIZE says otherwise (hcs-runtime A.4). libuv reads the
// variable when the first work is queued, which is after the program's modules have been loaded.
import { setDefaultPoolSize } from './bounds/pool-size.ts';

setDefaultPoolSize(process.env, process.platform);
