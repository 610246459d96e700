// What a subresource of a VM answers to a single question. The command waits for an operator that restarts.
import { type Subresource, subresourcePath } from '../protocol/subresources.ts';
import { type CommandPorts, firstPatience } from './commands.ts';
import { Patience } from './patience.ts';
import { tell } from './terminal.ts';

export async function read(name: string, subresource: Subresource, ports: CommandPorts): Promise<string> {
  const { api, clock, random, terminal } = ports;
  const onTrouble = (message: string) => tell(terminal, `[${message}; trying again]`);
  const patience = new Patience({ clock, random, limitMilliseconds: firstPatience, onTrouble });
  for (;;) {
    try {
      return await api.text({ path: subresourcePath(api.namespace, name, subresource) });
    } catch (error) {
      await patience.wait(error);
    }
  }
}
