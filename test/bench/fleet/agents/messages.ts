// What the bench and its processes with agents say to each other over IPC.
import { z } from 'zod';

const agent = z.object({
  token: z.string(),
  /** The loopback address from which it connects: the operator counts connections by address. */
  address: z.string(),
});
export type AgentSettings = z.infer<typeof agent>;

export const order = z.discriminatedUnion('do', [
  /** More agents connect, all at once, and again whenever they lose their connection. */
  z.object({
    do: z.literal('join'),
    port: z.number(),
    authority: z.string(),
    agents: z.array(agent),
    /** How long a VM takes from its assignment until it runs. */
    bootMilliseconds: z.number(),
    /** The other side is no operator: it sends nothing but pings. */
    bare: z.boolean(),
  }),
  /** All connections end without a word. */
  z.object({ do: z.literal('drop') }),
  /** All agents connect to another port from now on. */
  z.object({ do: z.literal('move'), port: z.number() }),
  /** Asks for `lives` since the last time. */
  z.object({ do: z.literal('tell') }),
  z.object({ do: z.literal('leave') }),
]);
export type Order = z.infer<typeof order>;

/** Milliseconds since the Unix epoch, with a part. */
const span = z.object({ uid: z.string(), from: z.number(), to: z.number() });

export const news = z.discriminatedUnion('kind', [
  /** How many agents have a session and know all their VMs. Sent several times a second. */
  z.object({ kind: z.literal('count'), live: z.number() }),
  z.object({
    kind: z.literal('lives'),
    /** From an assignment until the VM runs, for the first time. */
    boots: z.array(span),
    /** A VM that ran does not run. */
    away: z.array(span),
  }),
]);
export type News = z.infer<typeof news>;
export type Span = z.infer<typeof span>;
export type Lives = Extract<News, { kind: 'lives' }>;
