// The messages from the agent of a bench to its parent: JSON lines. Times are milliseconds since the epoch.
import { z } from 'zod';

export const agentEvent = z.union([
  /** A VM runs, so its guest must dial. */
  z.object({ system: z.string(), runtimeId: z.string() }),
  /** The agent has received the assignment. */
  z.object({ uid: z.string(), begun: z.number() }),
  z.object({ uid: z.string(), running: z.number() }),
  /** How often each cause has woken the pump so far. */
  z.object({ wakings: z.object({ bySocket: z.number(), byRest: z.number(), byIdleTime: z.number() }) }),
]);
export type AgentEvent = z.infer<typeof agentEvent>;
