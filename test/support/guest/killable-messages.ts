// What an agent that can be killed (`killable-agent.ts`) and its parent tell each other.
import { z } from 'zod';

export const killableOrder = z.object({
  /** Of the simulated node that has the host's files. */
  socketPath: z.string(),
  socketDirectory: z.string(),
  /** Of the agent's state. */
  folder: z.string(),
  /** Of the sockets that the agent listens on. The parent connects to them (`forwarded-sockets.ts`). */
  sockets: z.string(),
  assignment: z.json(),
  bootTimeout: z.number(),
  logBytes: z.number(),
});
export type KillableOrder = z.infer<typeof killableOrder>;

export const callOfAgent = z.object({
  id: z.int(),
  call: z.enum(['create', 'start', 'properties', 'terminate', 'listen']),
  argument: z.string(),
});
export type CallOfAgent = z.infer<typeof callOfAgent>;

/** An answer to a call, or a script for the guest. */
export const answerOfParent = z.object({
  id: z.int().optional(),
  result: z.json().optional(),
  error: z.string().optional(),
  execute: z.string().optional(),
});
export type AnswerOfParent = z.infer<typeof answerOfParent>;

export const newsOfAgent = z.object({
  observed: z.looseObject({ process: z.looseObject({ state: z.string() }).optional() }).optional(),
  executed: z.int().optional(),
  refused: z.string().optional(),
});
