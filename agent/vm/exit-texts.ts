// The texts of `lastExit`, made from the exit that HCS reports.
import type { LastExit } from '../../protocol/messages.ts';
import { beginning } from '../../runtime/beginning.ts';
import { plainLines, plainText } from '../../runtime/plain-text.ts';
import type { SystemExit } from '../node/backend.ts';
import type { StopReason } from './record.ts';

export const exitTexts: Readonly<Record<LastExit['type'], string>> = {
  GracefulExit: 'the guest powered off',
  ForcedExit: 'the VM was terminated',
  UnexpectedExit: 'the VM ended unexpectedly',
  AgentExit: 'the VM ended together with the agent that ran it',
  Unknown: 'the VM ended in an unknown way',
};

/** Whether the exit has another cause than a terminate request. */
export function endsByItself({ exitType }: SystemExit): boolean {
  return exitType === 'GracefulExit' || exitType === 'UnexpectedExit';
}

/** The exit of a VM that the agent stopped. The VM may have ended by itself just before. */
export function plannedExit(stopReason: StopReason, exit: SystemExit, time: string): LastExit {
  const { type, message } = lastExitOf(exit, time);
  if (stopReason === 'AgentRestarted') {
    const how = endsByItself(exit) ? `: ${message}` : '';
    return withCrashLog({ type: 'AgentExit', time, message: `${exitTexts.AgentExit}${how}` }, exit);
  }
  const how = type === 'ForcedExit' ? `${exitTexts[type]} by the agent` : `${message}, while the agent stopped it`;
  return withCrashLog({ type, time, message: `${how} (${stopReason})` }, exit);
}

export function lastExitOf(exit: SystemExit, time: string): LastExit {
  const type = exit.exitType === 'None' ? 'Unknown' : exit.exitType;
  const known = [exit.status === 0 ? '' : `status 0x${exit.status.toString(16)}`, ...(exit.attribution ?? [])];
  const details = beginning(plainText(known.filter((text) => text !== '').join(', ')), exitDetailCharacters);
  return { type, time, message: `${exitTexts[type]}${details === '' ? '' : ` (${details})`}` };
}

/** Adds the crash log. If it is too long, its end is kept, because the cause is there. */
export function withCrashLog(lastExit: LastExit, { crashLog }: SystemExit): LastExit {
  if (crashLog === undefined) return lastExit;
  const message = `${lastExit.message}: ${plainLines(crashLog)}`.slice(-exitMessageCharacters);
  return { ...lastExit, message: message.replace(halfAtTheBeginning, '') };
}

const halfAtTheBeginning = /^[\udc00-\udfff]/;

/** The length that the status keeps. The text about the disks is added afterwards. */
const exitMessageCharacters = 1_024;
const exitDetailCharacters = 512;
