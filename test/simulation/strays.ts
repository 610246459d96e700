// During a run nothing may use the time, the chance or the files of the real world: that would differ from one run of a
// seed to the next. Whatever is used all the same throws, at its first use.
import crypto from 'node:crypto';
import fs from 'node:fs';
import fsPromises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import timersPromises from 'node:timers/promises';

/** Also replaces what modules have imported from Node by name. Calls `used` as well, because an error may be caught. */
export function forbidStrays(used: (error: Error) => void): void {
  const forbidden = (name: string) => () => {
    const error = new Error(`${name} was used in a simulation: pass it in as a port`);
    used(error);
    throw error;
  };
  const forbid = (holder: object, of: string, names: readonly string[]) => {
    for (const name of names) Reflect.set(holder, name, forbidden(`${of}${name}`));
  };
  forbid(globalThis, '', ['setTimeout', 'setInterval']);
  forbid(Math, 'Math.', ['random']);
  forbid(Date, 'Date.', ['now']);
  forbid(performance, 'performance.', ['now']);
  forbid(crypto, 'crypto.', ['randomUUID', 'randomBytes', 'randomInt', 'getRandomValues']);
  forbid(timersPromises, 'timers/promises ', ['setTimeout', 'setImmediate', 'setInterval']);
  forbid(fs, 'fs.', ['readFile', 'writeFile', 'open', 'stat', 'readFileSync', 'openSync', 'writeFileSync']);
  forbid(fsPromises, 'fs/promises ', ['readFile', 'writeFile', 'open', 'stat', 'mkdir', 'rm', 'readdir', 'rename']);
  forbid(net, 'net.', ['connect', 'createConnection', 'createServer']);
  Reflect.set(AbortSignal, 'timeout', forbidden('AbortSignal.timeout'));
  syncBuiltinESMExports();
}
