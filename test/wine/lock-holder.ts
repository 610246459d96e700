// Holds the lock of an agent until it is killed. Its argument is the state folder.
import { pino } from 'pino';
import { acquireInstanceLock } from '../../agent/storage/instance-lock.ts';
import { windowsStorage } from '../../agent/windows/state-storage.ts';
import { systemClock } from '../../runtime/clock.ts';
import '../support/wine/first-pipe-instance.ts';

const [, , stateDir = ''] = process.argv;
const locks = windowsStorage.locks(stateDir, () => {});
await acquireInstanceLock(locks, systemClock, pino({ level: 'silent' }), new AbortController().signal);
process.stdout.write('held\n');
setInterval(() => {}, 60_000);
