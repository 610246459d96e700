// `kubectl luvm console`: the output of the VM's serial port, until Ctrl-C. The console is read only. The command waits
// for an operator that restarts; what the guest prints meanwhile is lost.
import { ApiFailure } from './api.ts';
import { ChannelSession } from './channel-session.ts';
import { type CommandPorts, exitCodes, firstPatience, reconnectPatience } from './commands.ts';
import { Patience } from './patience.ts';
import { start } from './start.ts';
import { tell } from './terminal.ts';

export async function console(name: string, ports: CommandPorts): Promise<number> {
  const { api, clock, random, terminal } = ports;
  const onTrouble = (message: string) => tell(terminal, `[${message}; trying again]`);
  const patienceOf = (limitMilliseconds: number) => new Patience({ clock, random, limitMilliseconds, onTrouble });
  let patience = patienceOf(firstPatience);
  let session: ChannelSession | undefined;
  let isLeft = false;
  const stopListening = terminal.onInterrupt(() => {
    isLeft = true;
    session?.close();
  });
  try {
    while (!isLeft) {
      try {
        session = new ChannelSession(await start(api, name, 'console'), terminal);
        patience = patienceOf(reconnectPatience);
        const end = await session.ended;
        if (isLeft) break;
        if (end.kind === 'failed' && end.problem !== 'SessionLost') throw new Error(end.message);
        await patience.wait(new ApiFailure(0, 'the console was lost'));
      } catch (error) {
        await patience.wait(error);
      }
    }
  } finally {
    stopListening();
  }
  return exitCodes.ok;
}
