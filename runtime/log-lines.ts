// The log of one of our programs, as lines of JSON. People read it in a terminal (`kubectl logs`), and much of its text
// comes from others: the close reason of an agent, a path of a manifest, the error of a guest.
import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino';
import { plainJson } from './plain-text.ts';

/** No logged text can steer the terminal. */
export function plainLogger(options: LoggerOptions, output: DestinationStream): Logger {
  return pino({ ...options, hooks: { ...options.hooks, streamWrite: plainJson } }, output);
}
