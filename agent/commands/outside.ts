// The world of a real agent: this process and the node that it runs on.
import { randomBytes, randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import { systemClock } from '../../runtime/clock.ts';
import type { Outside } from '../agent.ts';
import { systemTurns } from '../guest/log/turns.ts';
import { openWebSocket } from '../link/dial.ts';
import type { NodeAccess } from '../node/node.ts';

export function realOutside(node: NodeAccess, logger: Logger): Outside {
  return {
    clock: systemClock,
    random: Math.random,
    randomUUID,
    randomBytes,
    logTurns: systemTurns,
    openSocket: openWebSocket,
    node,
    logger,
  };
}
