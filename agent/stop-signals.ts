// How an agent is told to end: signals, as far as Node has them, and the event with which Windows ends a pod.
import type { Logger } from 'pino';
import { messageOf } from '../runtime/error-text.ts';
import { defaultTimeouts, fixedTimes } from './bounds/timeouts.ts';

export interface StopRequest {
  readonly signal: AbortSignal;
  /** Nothing is left to do: whoever waits for the end of the agent need not wait any longer. */
  done(): void;
}

const isWindows = process.platform === 'win32';
/** Windows has no SIGTERM: Node makes the others of Ctrl-Break and of a console that is closed. */
const stopSignals = isWindows ? (['SIGINT', 'SIGBREAK', 'SIGHUP'] as const) : (['SIGINT', 'SIGTERM'] as const);
/** Calls `stop` once when the node ends the program; rejects when it would not hear of that. */
export type ListenForShutdown = (stop: () => void, milliseconds: number) => Promise<{ done(): void }>;

export async function listenForStop(logger: Logger, shutdown?: ListenForShutdown): Promise<StopRequest> {
  const stop = new AbortController();
  for (const signal of stopSignals) process.on(signal, () => stop.abort());
  const heard = shutdown && (await listenForShutdown(shutdown, stop, logger));
  return { signal: stop.signal, done: () => heard?.done() };
}

/** Without it Windows ends the agent before its VMs are stopped; that is no reason not to run them. */
async function listenForShutdown(listen: ListenForShutdown, stop: AbortController, logger: Logger) {
  const milliseconds = defaultTimeouts.agentEnd + fixedTimes.program.closing;
  return await listen(() => stop.abort(), milliseconds).catch((error: unknown) => {
    logger.warn({ error: messageOf(error) }, 'the event that ends the pod of an agent is not heard of');
    return undefined;
  });
}
