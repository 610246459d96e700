// Runs another command of the plugin at the same terminal, as a program of its own: it handles Ctrl-C and the keyboard as
// it does when the user starts it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ConnectionFlags } from './command-line.ts';
import { exitCodes } from './commands.ts';

/** `flags`: how this program reaches the cluster. Resolves with whether it ended well, or as Ctrl-C asked. */
export async function runChild(flags: ConnectionFlags, words: readonly string[]): Promise<boolean> {
  const [, script = ''] = process.argv;
  // What follows `--` belongs to the guest.
  const args = [...process.execArgv, script, ...connectionWords(flags), ...words];
  // Ctrl-C is meant for the child, which has the terminal.
  const ignore = () => undefined;
  process.on('SIGINT', ignore);
  try {
    const [code] = await once(spawn(process.execPath, args, { stdio: 'inherit' }), 'exit');
    return [exitCodes.ok, exitCodes.interrupted, null].includes(code);
  } finally {
    process.off('SIGINT', ignore);
  }
}

/** The namespace is that of the chosen VM. */
function connectionWords(flags: ConnectionFlags): readonly string[] {
  const { as, asGroup = [], asUid, cluster, context, kubeconfig, requestTimeout, user } = flags;
  const timeout = requestTimeout === undefined ? undefined : `${requestTimeout}ms`;
  const given = { as, 'as-uid': asUid, cluster, context, kubeconfig, user, 'request-timeout': timeout };
  return [
    ...Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`])),
    ...asGroup.map((group) => `--as-group=${group}`),
  ];
}
