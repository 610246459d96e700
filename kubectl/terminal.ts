// The part of the process that commands use, as an interface that a test can implement. Text of a guest, an agent or an
// API object must not steer the user's terminal.
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { plainLines, plainText } from '../runtime/plain-text.ts';

export interface Terminal {
  readonly input: Readable;
  readonly output: Writable;
  readonly errors: Writable;
  /** `output` is a terminal that a person reads. Otherwise a file or program receives the bytes unchanged. */
  readonly outputIsTerminal: boolean;
  /** Size of the user's terminal; undefined when input or output is not a terminal. */
  readonly size: { readonly height: number; readonly width: number } | undefined;
  /** In raw mode keys reach the guest as they are typed, Ctrl-C included. */
  raw(isRaw: boolean): void;
  /** Calls `listener` on Ctrl-C while the terminal is not raw. Returns a function that stops listening. */
  onInterrupt(listener: () => void): () => void;
  onResize(listener: () => void): () => void;
  /** Calls `listener` before the process ends by SIGTERM or SIGHUP. It cannot wait. Returns a function that stops listening. */
  onKill(listener: () => void): () => void;
}

/** A shell's exit code of a program that a signal ended is this and the number of the signal. */
const signalExit = 128;
const killSignals = ['SIGTERM', 'SIGHUP'] as const;
const usual = { height: 24, width: 80 } as const;

export function processTerminal(): Terminal {
  const { stderr, stdin, stdout } = process;
  const farewells = new Set<() => void>();
  const end = (signal: NodeJS.Signals) => {
    for (const farewell of farewells) farewell();
    if (stdin.isTTY) stdin.setRawMode(false);
    process.exit(signalExit + constants.signals[signal]);
  };
  return {
    input: stdin,
    output: stdout,
    errors: stderr,
    outputIsTerminal: stdout.isTTY === true,
    get size() {
      if (!stdin.isTTY || !stdout.isTTY) return undefined;
      // A terminal that does not know its size reports 0.
      return { height: stdout.rows || usual.height, width: stdout.columns || usual.width };
    },
    raw: (isRaw) => {
      if (stdin.isTTY) stdin.setRawMode(isRaw);
      // The shell that follows must not find the terminal raw.
      for (const signal of killSignals) {
        process.off(signal, end);
        if (isRaw) process.on(signal, end);
      }
    },
    onInterrupt: (listener) => {
      process.on('SIGINT', listener);
      return () => process.off('SIGINT', listener);
    },
    onResize: (listener) => {
      stdout.on('resize', listener);
      return () => stdout.off('resize', listener);
    },
    onKill: (listener) => {
      farewells.add(listener);
      return () => farewells.delete(listener);
    },
  };
}

/** A message to the user, on stderr. A command's result goes to `output`. */
export function tell(terminal: Pick<Terminal, 'errors'>, message: string, lineEnd = '\n'): void {
  terminal.errors.write(`${plainText(message)}${lineEnd}`);
}

/** Lines of UTF-8 from a guest or its agent: unchanged for a file or program, escaped for a terminal. */
export function showLines(terminal: Terminal, bytes: Buffer): Promise<void> {
  const { output, outputIsTerminal } = terminal;
  return writeTo(output, outputIsTerminal ? plainLines(bytes.toString('utf8')) : bytes);
}

/** Resolves when the output can be written to again. */
export async function writeTo(output: Writable, bytes: string | Buffer): Promise<void> {
  if (output.destroyed || output.write(bytes)) return;
  await new Promise<void>((resolve) => {
    const go = () => {
      output.off('drain', go);
      output.off('close', go);
      resolve();
    };
    output.once('drain', go);
    output.once('close', go);
  });
}
