// The messages between a Windows process under wine and the program that plays its guests: JSON lines.
import { z } from 'zod';

/** Windows → guests, after each change. */
export const doubleState = z.object({
  systems: z.array(z.object({ id: z.string(), runtimeId: z.string(), state: z.string() })),
  /** Open handles and allocations of the computecore.dll double. */
  counts: z.record(z.string(), z.number()),
  /** Windows path → its access control list as last set, as a security descriptor string. */
  access: z.record(z.string(), z.string()),
});
export type DoubleState = z.infer<typeof doubleState>;

/** Guests → Windows: a guest ended on its own. */
export const guestExit = z.object({ system: z.string(), exitType: z.string(), status: z.number() });
export type GuestExit = z.infer<typeof guestExit>;
