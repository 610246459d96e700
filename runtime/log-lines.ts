// The log of one of our programs, as lines of JSON. Who reads it does so in a terminal (`kubectl logs`), and much of it was
// said by others: the close reason of an agent, a path of a manifest, the error of a guest.
import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino';
import { plainJson } from './plain-text.ts';

/** No line of it steers a terminal, whatever is logged. */
export function plainLogger(options: LoggerOptions, output: DestinationStream): Logger {
  return pino({ ...options, hooks: { ...options.hooks, streamWrite: plainJson } }, output);
}
