// Requests that end an agent: the signals that Node supports, and the event with which Windows ends a pod.
import type { Logger } from 'pino';
import { messageOf } from '../runtime/error-text.ts';
import { defaultTimeouts, fixedTimes } from './bounds/timeouts.ts';

export interface StopRequest {
  readonly signal: AbortSignal;
  /** The agent has finished its work: Windows may end the process now. */
  done(): void;
}

const isWindows = process.platform === 'win32';
/** Windows has no SIGTERM. Node raises SIGBREAK on Ctrl-Break and SIGHUP when the console is closed. */
const stopSignals = isWindows ? (['SIGINT', 'SIGBREAK', 'SIGHUP'] as const) : (['SIGINT', 'SIGTERM'] as const);
/** Calls `stop` once when the node ends the program. Rejects when the system refuses to register the handler. */
export type ListenForShutdown = (stop: () => void, milliseconds: number) => Promise<{ done(): void }>;

export async function listenForStop(logger: Logger, shutdown?: ListenForShutdown): Promise<StopRequest> {
  const stop = new AbortController();
  for (const signal of stopSignals) process.on(signal, () => stop.abort());
  const heard = shutdown && (await listenForShutdown(shutdown, stop, logger));
  return { signal: stop.signal, done: () => heard?.done() };
}

/** Without this event Windows ends the agent before its VMs are stopped. The agent runs VMs all the same. */
async function listenForShutdown(listen: ListenForShutdown, stop: AbortController, logger: Logger) {
  const milliseconds = defaultTimeouts.agentEnd + fixedTimes.program.closing;
  return await listen(() => stop.abort(), milliseconds).catch((error: unknown) => {
    logger.warn(
      { error: messageOf(error) },
      'Windows cannot announce the end of the pod: it may end the agent before its VMs are stopped',
    );
    return undefined;
  });
}
