// The configuration with which a boot of a VM was made.
import { z } from 'zod';
import { devices } from '../../protocol/messages.ts';
import { requestedOptions } from '../../protocol/options.ts';
import { allowsExec } from './exec-policy.ts';

/** The configuration of the current or last boot, including later live changes. */
const appliedWith = z.object({
  options: requestedOptions,
  optionsDigest: z.string(),
  /** Digest of the document that the VM was created from. */
  documentDigest: z.string(),
  policyDigest: z.string().optional(),
  /** `terminateOnAgentExit: false`: the system survives the agent and may be adopted. */
  outlivesAgent: z.boolean(),
  processorCount: z.int(),
  memorySizeInMB: z.int(),
  /** Build of the host that the VM runs on: it decides which live changes are possible. */
  osBuild: z.int(),
  scsiControllers: z.int(),
  warnings: z.array(z.string()),
  devices,
  /** Whether the policy allows processes to be started from outside. Absent in journals of earlier agents. */
  execAllowed: z.boolean().optional(),
});
export const applied = appliedWith.transform((made) => ({
  ...made,
  execAllowed: made.execAllowed ?? allowsExec(made.options),
}));
export type Applied = z.infer<typeof applied>;
