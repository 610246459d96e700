// A program at a pseudo-terminal, and what a person sees there: util-linux's `script` makes the terminal, xterm's own
// emulator interprets what the program writes.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import xterm from '@xterm/headless';

/** Of the palette of 16 colours. */
const red = 1;
/** Long enough for two busy cores. */
const patienceMilliseconds = 30_000;

export interface PseudoTerminalOptions {
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly rows?: number;
  readonly columns?: number;
}

export class PseudoTerminal implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #emulator: xterm.Terminal;
  readonly #ended: Promise<unknown[]>;

  constructor({ columns = 80, command, env = {}, rows = 24 }: PseudoTerminalOptions) {
    this.#emulator = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true });
    const quoted = command.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(' ');
    const shell = `stty rows ${rows} cols ${columns} && exec ${quoted}`;
    this.#child = spawn('script', ['--quiet', '--return', '--command', shell, '/dev/null'], {
      env: { ...process.env, TERM: 'xterm-256color', ...env },
    });
    this.#ended = once(this.#child, 'close');
    this.#child.stdout.on('data', (bytes: Buffer) => this.#emulator.write(bytes));
    this.#child.stdin.on('error', () => undefined);
  }

  type(text: string): void {
    this.#child.stdin.write(text);
  }

  /** The lines on the screen, without spaces at their ends. */
  get lines(): readonly string[] {
    const { active } = this.#emulator.buffer;
    return Array.from({ length: this.#emulator.rows }, (_, row) => {
      return active.getLine(active.baseY + row)?.translateToString(true) ?? '';
    });
  }

  /** Each cell of the screen, as it is shown. */
  get cells() {
    const { active } = this.#emulator.buffer;
    return Array.from({ length: this.#emulator.rows }, (_, row) => {
      const line = active.getLine(active.baseY + row);
      return Array.from({ length: this.#emulator.cols }, (__, column) => {
        const cell = line?.getCell(column);
        return {
          text: cell?.getChars() ?? '',
          isBold: (cell?.isBold() ?? 0) !== 0,
          isInverse: (cell?.isInverse() ?? 0) !== 0,
          isRed: cell?.isFgPalette() === true && cell.getFgColor() === red,
        };
      });
    });
  }

  get text(): string {
    return this.lines.join('\n');
  }

  /** Whether a program draws on the whole screen, beside the one of the shell. */
  get isAlternate(): boolean {
    return this.#emulator.buffer.active.type === 'alternate';
  }

  async until(what: string, holds: (terminal: this) => boolean): Promise<void> {
    const deadline = Date.now() + patienceMilliseconds;
    while (!holds(this)) {
      if (Date.now() > deadline) throw new Error(`not within 30 s: ${what}; the screen is\n${this.text}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** The exit code. */
  async ended(): Promise<unknown> {
    return (await this.#ended)[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    this.#emulator.dispose();
  }
}
