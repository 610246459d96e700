// With what a run of a VM was made.
import { z } from 'zod';
import { devices } from '../../protocol/messages.ts';
import { requestedOptions } from '../../protocol/options.ts';
import { allowsExec } from './exec-policy.ts';

/** With what the current or last run was made, and changed since. */
const appliedWith = z.object({
  options: requestedOptions,
  optionsDigest: z.string(),
  /** Of the document that it was created from. */
  documentDigest: z.string(),
  policyDigest: z.string().optional(),
  /** `terminateOnAgentExit: false`: the system survives the agent and may be adopted. */
  outlivesAgent: z.boolean(),
  processorCount: z.int(),
  memorySizeInMB: z.int(),
  /** Of the host that it runs on: what can be changed depends on it. */
  osBuild: z.int(),
  scsiControllers: z.int(),
  warnings: z.array(z.string()),
  devices,
  /** Whether processes may be started from outside, as the policy says; absent in journals of earlier agents. */
  execAllowed: z.boolean().optional(),
});
export const applied = appliedWith.transform((made) => ({
  ...made,
  execAllowed: made.execAllowed ?? allowsExec(made.options),
}));
export type Applied = z.infer<typeof applied>;
