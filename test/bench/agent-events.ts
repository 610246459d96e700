// What the agent of a bench tells its parent: JSON lines. Times are milliseconds since the epoch.
import { z } from 'zod';

export const agentEvent = z.union([
  /** A VM runs, and its guest has to dial. */
  z.object({ system: z.string(), runtimeId: z.string() }),
  /** The agent has its assignment. */
  z.object({ uid: z.string(), begun: z.number() }),
  z.object({ uid: z.string(), running: z.number() }),
  /** What ended the pump's sleeps so far. */
  z.object({ wakings: z.object({ bySocket: z.number(), byRest: z.number(), byIdleTime: z.number() }) }),
]);
export type AgentEvent = z.infer<typeof agentEvent>;
