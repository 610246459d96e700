// Holds the lock of an agent until it is killed. Argument: the state folder.
import { pino } from 'pino';
import { acquireInstanceLock } from '../../agent/storage/instance-lock.ts';
import { systemClock } from '../../runtime/clock.ts';
import './first-pipe-instance.ts';

const [, , stateDir = ''] = process.argv;
await acquireInstanceLock(stateDir, systemClock, pino({ level: 'silent' }), new AbortController().signal);
process.stdout.write('held\n');
setInterval(() => {}, 60_000);
