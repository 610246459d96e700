// `kubectl luvm document`: the document with which the agent created the VM in HCS last, as the agent keeps it.
import { type CommandPorts, exitCodes } from './commands.ts';
import { read } from './read.ts';
import { showLines } from './terminal.ts';

export async function document(
  name: string,
  { pretty }: { readonly pretty: boolean },
  ports: CommandPorts,
): Promise<number> {
  const text = await read(name, 'document', ports);
  // Parsing would round numbers beyond 2^53, so the default is the original text.
  const shown = pretty ? JSON.stringify(JSON.parse(text), undefined, 2) : text;
  await showLines(ports.terminal, Buffer.from(`${shown}\n`));
  return exitCodes.ok;
}
