// One WebSocket of `exec` or `console`. The server's data goes to the outputs; its last status message is the result.
import type { WebSocket } from 'ws';
import { channels, type StatusMessage, statusMessage } from '../protocol/subresources.ts';
import type { Terminal } from './terminal.ts';
import { tell, writeTo } from './terminal.ts';

export type SessionEnd =
  | { readonly kind: 'exited'; readonly exitCode: number | undefined }
  | { readonly kind: 'failed'; readonly problem: string; readonly message: string }
  /** The connection ended without a last status message. */
  | { readonly kind: 'lost' };

/** Where the server's data goes. */
export type SessionTerminal = Pick<Terminal, 'output' | 'errors'>;

export class ChannelSession {
  readonly ended: Promise<SessionEnd>;
  /** ID of the process in the guest. Undefined for a console, and when the session ended before the process started. */
  readonly processID: Promise<number | undefined>;
  readonly #socket: WebSocket;
  readonly #terminal: SessionTerminal;
  #resolveProcessID: (id: number | undefined) => void = () => undefined;
  readonly #refusals = new Set<string>();
  #end: SessionEnd = { kind: 'lost' };
  /** Writes to the outputs, one after another. */
  #writing: Promise<void> = Promise.resolve();

  constructor(socket: WebSocket, terminal: SessionTerminal) {
    this.#socket = socket;
    this.#terminal = terminal;
    this.processID = new Promise((resolve) => {
      this.#resolveProcessID = resolve;
    });
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => socket.terminate());
    socket.on('message', (data, isBinary) => {
      if (isBinary && Buffer.isBuffer(data)) this.#receive(data);
    });
    this.ended = closed.then(async () => {
      this.#resolveProcessID(undefined);
      await this.#writing;
      return this.#end;
    });
    socket.resume();
  }

  /** Resolves once the network has taken the bytes. */
  send(bytes: Buffer): Promise<void> {
    return this.#send(channels.stdin, bytes);
  }

  endInput(): Promise<void> {
    return this.#send(channels.close, Buffer.of(channels.stdin));
  }

  resize(height: number, width: number): Promise<void> {
    return this.#send(channels.resize, Buffer.from(JSON.stringify({ height, width })));
  }

  close(): void {
    this.#socket.close(1000);
  }

  #send(channel: number, bytes: Buffer): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.readyState !== this.#socket.OPEN) resolve();
      else this.#socket.send(Buffer.concat([Buffer.of(channel), bytes]), () => resolve());
    });
  }

  #receive(data: Buffer): void {
    const bytes = data.subarray(1);
    if (data[0] === channels.status) this.#status(bytes);
    else if (data[0] === channels.stdout) this.#write(this.#terminal.output, bytes);
    else if (data[0] === channels.stderr) this.#write(this.#terminal.errors, bytes);
  }

  /** Reading pauses during a write, so a slow terminal slows the guest down. */
  #write(output: Terminal['output'], bytes: Buffer): void {
    this.#socket.pause();
    this.#writing = this.#writing.then(() => writeTo(output, bytes)).then(() => this.#socket.resume());
  }

  #status(bytes: Buffer): void {
    const message = parseStatus(bytes);
    switch (message?.type) {
      case 'started':
        this.#resolveProcessID(message.processID);
        break;
      case 'refused':
        if (!this.#refusals.has(message.message)) tell(this.#terminal, `[refused: ${message.message}]`, '\r\n');
        this.#refusals.add(message.message);
        break;
      case 'exited':
        this.#end = { kind: 'exited', exitCode: message.exitCode };
        break;
      case 'failed':
        this.#end = { kind: 'failed', problem: message.problem, message: message.message };
        break;
      case undefined:
        break;
    }
  }
}

/** Undefined for a message of a later version. */
export function parseStatus(bytes: Buffer): StatusMessage | undefined {
  try {
    return statusMessage.safeParse(JSON.parse(bytes.toString('utf8'))).data;
  } catch {
    return undefined;
  }
}
