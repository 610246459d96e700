// Scripts for the process of a VM that outlives its agent, for `/bin/sh` without any other program than `vsockexec`. The
// standard streams of such a process cannot be sockets to the host: they break when the agent dies, and a program that
// writes to a broken one dies, too. So the process runs below a relay, and notes in the guest tell a later agent whether
// the process was started, and how it ended:
//
//   /bin/sh (start script)           known to the guest agent; notes the exit code
//     vsockexec -r                   relays the output, and connects to each new agent
//       /bin/sh (program script)     notes both process ids, and becomes the program
//
// The notes are in /run, which is empty at every boot of the guest.
import type { GuestCommand } from './process-request.ts';

const idsFile = '/run/lcow-process';
const exitFile = '/run/lcow-process.exit';

/** Arguments: the program script, the port, the command. Its own streams may be anything, or closed. */
export const startScript = `
exec < /dev/null > /dev/null 2>&1
script=$1 port=$2
shift 2
/bin/vsockexec -r -o "$port" -e "$port" -- /bin/sh -c "$script" process $$ "$@"
code=$?
echo "$code" > ${exitFile}
exit "$code"`;

/** Without its note, a later agent could not know of the process: then it is not started. Shells add the variables. */
export const programScript = `
echo "$1 $$" > ${idsFile} || exit 126
shift
unset PWD OLDPWD SHLVL
exec "$@"`;

export const noteScript = `
ids= code=
[ -e ${idsFile} ] && read -r ids < ${idsFile}
[ -e ${exitFile} ] && read -r code < ${exitFile}
echo "ids=$ids code=$code"`;

export const signalProgramScript = `
read -r script program < ${idsFile} && kill -s "$1" "$program"`;

/** @param port where the host listens for the relay */
export function relayedCommand({ args, ...command }: GuestCommand, port: number): GuestCommand {
  return { ...command, args: ['/bin/sh', '-c', startScript, 'start', programScript, String(port), ...args] };
}

export function signalProgramCommand(signal: 'TERM' | 'KILL'): GuestCommand {
  return { args: ['/bin/sh', '-c', signalProgramScript, 'signal', signal] };
}

export const noteCommand: GuestCommand = { args: ['/bin/sh', '-c', noteScript] };

export interface ProcessNote {
  /** The id of the start script, by which the guest agent knows the process; undefined when it was not started. */
  readonly pid: number | undefined;
  /** 128 and the signal's number when a signal ended the process; undefined while it runs. */
  readonly exitCode: number | undefined;
}

/** Undefined for a text that the note script does not write. */
export function parseNote(text: string): ProcessNote | undefined {
  const [, pid, exitCode] = /^ids=(?:([0-9]{1,10}) [0-9]{1,10})? code=([0-9]{1,3})?\n$/.exec(text) ?? [undefined];
  if (pid === undefined && exitCode === undefined && text !== 'ids= code=\n') return undefined;
  return { pid: numberOf(pid), exitCode: numberOf(exitCode) };
}

function numberOf(digits: string | undefined): number | undefined {
  return digits === undefined ? undefined : Number(digits);
}
