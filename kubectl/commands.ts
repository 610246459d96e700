// What all commands share.
import type { Clock, Random } from '../runtime/clock.ts';
import type { Api } from './api.ts';
import type { Terminal } from './terminal.ts';

export interface CommandPorts {
  readonly api: Api;
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * How long a command waits for its first success. An operator fails over within about ten seconds, and the API server
 * needs as long again to notice.
 */
export const firstPatience = 30_000;
/** How long a command waits to reconnect a stream that was open. */
export const reconnectPatience = 300_000;

export const exitCodes = { ok: 0, failed: 1, interrupted: 130 } as const;
