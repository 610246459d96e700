// Imported before everything else by the program. Native calls, file copies, reading files and looking up names share the
// threads of libuv's pool, of which there are four unless UV_THREADPOOL_SIZE says otherwise (hcs-runtime A.4). libuv reads
// it when the first work is queued, which is after the modules of a program have been loaded.
import { setDefaultPoolSize } from './bounds/pool-size.ts';

setDefaultPoolSize(process.env, process.platform);
