// What a command has of the process that it runs in, so that a test can stand in for it.
// What a guest, an agent or an object of the API says must not steer the terminal of who reads it.
import type { Readable, Writable } from 'node:stream';
import { plainLines, plainText } from '../runtime/plain-text.ts';

export interface Terminal {
  readonly input: Readable;
  readonly output: Writable;
  readonly errors: Writable;
  /** Somebody sees what is written to `output`; otherwise a file or a program takes it as it comes. */
  readonly outputIsTerminal: boolean;
  /** Of the user's terminal; undefined when input or output is none. */
  readonly size: { readonly height: number; readonly width: number } | undefined;
  /** Keys reach the guest as they are typed, Ctrl-C too. */
  raw(isRaw: boolean): void;
  /** Ctrl-C, while the terminal is not raw. Returns how to stop listening. */
  onInterrupt(listener: () => void): () => void;
  onResize(listener: () => void): () => void;
}

const usual = { height: 24, width: 80 } as const;

export function processTerminal(): Terminal {
  const { stderr, stdin, stdout } = process;
  return {
    input: stdin,
    output: stdout,
    errors: stderr,
    outputIsTerminal: stdout.isTTY === true,
    get size() {
      if (!stdin.isTTY || !stdout.isTTY) return undefined;
      // One that does not know its size has none of 0.
      return { height: stdout.rows || usual.height, width: stdout.columns || usual.width };
    },
    raw: (isRaw) => {
      if (stdin.isTTY) stdin.setRawMode(isRaw);
    },
    onInterrupt: (listener) => {
      process.on('SIGINT', listener);
      return () => process.off('SIGINT', listener);
    },
    onResize: (listener) => {
      stdout.on('resize', listener);
      return () => stdout.off('resize', listener);
    },
  };
}

/** For people; what a command is for goes to its output. */
export function tell(terminal: Terminal, message: string, lineEnd = '\n'): void {
  terminal.errors.write(`${plainText(message)}${lineEnd}`);
}

/** Lines of UTF-8 of a guest or its agent: every byte as it came, but for a terminal escaped. */
export function showLines(terminal: Terminal, bytes: Buffer): Promise<void> {
  const { output, outputIsTerminal } = terminal;
  return writeTo(output, outputIsTerminal ? plainLines(bytes.toString('utf8')) : bytes);
}

/** Resolves when it can be written to again. */
export async function writeTo(output: Writable, bytes: string | Buffer): Promise<void> {
  if (output.destroyed || output.write(bytes)) return;
  await new Promise<void>((resolve) => {
    output.once('drain', resolve);
    output.once('close', resolve);
  });
}
