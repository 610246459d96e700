// A server on a named pipe is the only one with its name: Node requests that from Windows
// (FILE_FLAG_FIRST_PIPE_INSTANCE), but wine 8 ignores the flag. A program under wine imports this module, which
// enforces it.
import { Server } from 'node:net';
import koffi from 'koffi';

const kernel32 = koffi.load('kernel32.dll');
const waitNamedPipe: (name: string, milliseconds: number) => number = kernel32.func(
  '__stdcall',
  'WaitNamedPipeW',
  'int',
  ['str16', 'uint32_t'],
);
const lastError: () => number = kernel32.func('__stdcall', 'GetLastError', 'uint32_t', []);
const fileNotFound = 2;

const { listen } = Server.prototype;
Server.prototype.listen = function (this: Server, ...parameters: unknown[]): Server {
  const [name] = parameters;
  if (typeof name === 'string' && name.startsWith('\\\\.\\pipe\\') && pipeExists(name)) {
    const error = Object.assign(new Error(`listen EADDRINUSE: address already in use ${name}`), { code: 'EADDRINUSE' });
    process.nextTick(() => this.emit('error', error));
    return this;
  }
  return Reflect.apply(listen, this, parameters);
};

function pipeExists(name: string): boolean {
  return waitNamedPipe(name, 1) !== 0 || lastError() !== fileNotFound;
}
