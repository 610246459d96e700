// Serial and graphics consoles: kernel arguments and devices (docs/reference/hcs-documents.md §6.10 steps 2 to 4).
import type { Architecture } from './facts.ts';
import type { LinuxOptions } from './options.ts';
import type { Devices } from './schema.ts';

const serialArguments: Readonly<Record<Architecture, { readonly on: string; readonly off: string }>> = {
  amd64: {
    on: ' 8250_core.nr_uarts=1 8250_core.skip_txen_test=1 console=ttyS0,115200',
    off: ' 8250_core.nr_uarts=0',
  },
  arm64: { on: ' console=ttyAMA0,115200', off: '' },
};

/** With a console the guest shows its kernel messages, does not reboot on panic, and ends in a shell. */
export function hasConsole(options: LinuxOptions): boolean {
  return options.ConsolePipe !== '' || options.EnableGraphicsConsole;
}

export function consoleArguments(options: LinuxOptions, architecture: Architecture): string {
  const serial = serialArguments[architecture][options.ConsolePipe === '' ? 'off' : 'on'];
  const graphics = options.EnableGraphicsConsole ? ' console=tty' : '';
  return serial + graphics + (hasConsole(options) ? '' : ' panic=-1 quiet');
}

/** The name of the pipe is not checked. */
export function comPorts(pipe: string): NonNullable<Devices['ComPorts']> {
  return { '0': { NamedPipe: pipe } };
}
