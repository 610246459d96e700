// `kubectl luvm stacks`: the stacks of all goroutines of the guest agent, for whoever looks for a guest that hangs.
import { type CommandPorts, exitCodes } from './commands.ts';
import { read } from './read.ts';
import { showLines } from './terminal.ts';

export async function stacks(name: string, ports: CommandPorts): Promise<number> {
  const text = await read(name, 'stacks', ports);
  await showLines(ports.terminal, Buffer.from(text.endsWith('\n') ? text : `${text}\n`));
  return exitCodes.ok;
}
