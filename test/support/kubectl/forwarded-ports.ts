// `kubectl luvm port-forward` as a program that runs, with its local ports.
import { once } from 'node:events';
import type { PluginProgram } from './plugin-program.ts';
import { StandInTerminal } from './stand-in-terminal.ts';

export interface ForwardedPorts {
  /** The local ports, in the order in which they were asked for. */
  readonly ports: readonly number[];
  /** What the program prints. */
  readonly terminal: StandInTerminal;
  /** Presses Ctrl-C. Returns the exit code. */
  stop(): Promise<number | null>;
}

export async function forwardPorts(
  plugin: PluginProgram,
  name: string,
  ...forwards: readonly string[]
): Promise<ForwardedPorts> {
  const terminal = new StandInTerminal();
  const program = plugin.start('port-forward', name, ...forwards);
  program.stdout.pipe(terminal.output);
  program.stderr.pipe(terminal.errors);
  const closed = once(program, 'close');
  await terminal.until('it listens', ({ lines }) => lines.length === forwards.length);
  return {
    ports: terminal.lines.map((line) => Number(/^Forwarding from 127\.0\.0\.1:(\d+) -> vsock:/.exec(line)?.[1])),
    terminal,
    async stop() {
      program.kill('SIGINT');
      const [code]: (number | null)[] = await closed;
      return code ?? null;
    },
  };
}
