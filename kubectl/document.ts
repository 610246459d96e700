// `kubectl luvm document`: the document that was sent to HCS when the VM was last created, as the agent keeps it.
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
      // Numbers beyond 2^53 would not survive a round trip: as it was sent is the default.
      const shown = pretty ? JSON.stringify(JSON.parse(text), undefined, 2) : text;
      await showLines(terminal, Buffer.from(`${shown}\n`));
      return exitCodes.ok;
    } catch (error) {
      await patience.wait(error);
    }
  }
}
