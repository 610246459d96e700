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

/** Before the first success; an operator fails over within about ten seconds, and the API server notices as late again. */
export const firstPatience = 30_000;
/** Of a stream that was there. */
export const reconnectPatience = 300_000;

export const exitCodes = { ok: 0, failed: 1, interrupted: 130 } as const;
