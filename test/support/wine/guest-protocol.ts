// What a Windows process under wine and whoever plays its guests tell each other: JSON lines.
import { z } from 'zod';

/** Windows → guests, whenever it changed. */
export const doubleState = z.object({
  systems: z.array(z.object({ id: z.string(), runtimeId: z.string(), state: z.string() })),
  /** What the double of computecore.dll has given out and not got back. */
  counts: z.record(z.string(), z.number()),
  /** Windows path → its access control list as it was set last, in the language of security descriptors. */
  access: z.record(z.string(), z.string()),
});
export type DoubleState = z.infer<typeof doubleState>;

/** Guests → Windows: a guest ended by itself. */
export const guestExit = z.object({ system: z.string(), exitType: z.string(), status: z.number() });
export type GuestExit = z.infer<typeof guestExit>;
