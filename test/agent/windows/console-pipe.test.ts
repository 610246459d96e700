// Consoles are named pipes on Windows and Unix sockets elsewhere. `npm run test:wine` runs this file on Windows.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConsole } from '../../../agent/windows/console-pipe.ts';

let folder: string;
let pipe: string;
let abort: AbortController;
let server: Server | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'console-'));
  pipe = process.platform === 'win32' ? `\\\\.\\pipe\\${basename(folder)}` : join(folder, 'pipe');
  abort = new AbortController();
});
afterEach(async () => {
  abort.abort();
  server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Each reader gets the next of these texts. */
function print(...texts: readonly string[]): void {
  const rest = [...texts];
  server = createServer((socket: Socket) => socket.end(rest.shift() ?? '')).listen(pipe);
}

describe('a console', () => {
  it('is read whenever its pipe exists, and again after a reset', async () => {
    setTimeout(() => print('first boot', 'second boot'), 50);
    let text = '';
    for await (const bytes of readConsole(pipe, abort.signal)) {
      text += String(bytes);
      if (text.endsWith('second boot')) break;
    }
    expect(text).toBe('first bootsecond boot');
  });

  it('is given up when told to, while its pipe is missing or silent', async () => {
    const reading = readConsole(pipe, abort.signal).next();
    setTimeout(() => abort.abort(), 20);
    expect(await reading).toEqual({ done: true, value: undefined });
    server = createServer(() => {}).listen(pipe);
    const silent = new AbortController();
    const waiting = readConsole(pipe, silent.signal).next();
    setTimeout(() => silent.abort(), 50);
    expect(await waiting).toEqual({ done: true, value: undefined });
  });
});
