// `kubectl luvm document`: the document with which the agent created the VM in HCS last, as the agent keeps it.
import { subresourcePath } from '../protocol/subresources.ts';
import { type CommandPorts, exitCodes, firstPatience } from './commands.ts';
import { Patience } from './patience.ts';
import { showLines, tell } from './terminal.ts';

export async function document(
  name: string,
  { pretty }: { readonly pretty: boolean },
  ports: CommandPorts,
): Promise<number> {
  const { api, clock, random, terminal } = ports;
  const onTrouble = (message: string) => tell(terminal, `[${message}; trying again]`);
  const patience = new Patience({ clock, random, limitMilliseconds: firstPatience, onTrouble });
  for (;;) {
    try {
      const text = await api.text({ path: subresourcePath(api.namespace, name, 'document') });
      // Parsing would round numbers beyond 2^53, so the default is the original text.
      const shown = pretty ? JSON.stringify(JSON.parse(text), undefined, 2) : text;
      await showLines(terminal, Buffer.from(`${shown}\n`));
      return exitCodes.ok;
    } catch (error) {
      await patience.wait(error);
    }
  }
}
