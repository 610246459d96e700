// A user at the serial console of an emulated VM.
import { once } from 'node:events';
import { connect } from 'node:net';

export interface SerialConsole extends AsyncDisposable {
  /** Types a line. Returns everything that the console has printed so far. */
  tell(line: string): string;
}

export async function openConsole(path: string): Promise<SerialConsole> {
  const socket = connect(path);
  await once(socket, 'connect');
  const printed: string[] = [];
  socket.setEncoding('utf8').on('data', (text: string) => printed.push(text));
  socket.on('error', () => undefined);
  return {
    tell(line) {
      socket.write(`${line}\r`);
      return printed.join('');
    },
    [Symbol.asyncDispose]() {
      socket.destroy();
      return Promise.resolve();
    },
  };
}
