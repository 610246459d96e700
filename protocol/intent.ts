// An intent: what is wanted of a VM whose options are unknown, because its spec or something that the spec refers to
// cannot be read (design §11). Halting, restarting, pausing and draining need no options, so the agent does them with
// the options that it has. An agent that has no options of the VM starts nothing.
import { z } from 'zod';
import { assignment, type Element, type Parsed, parseElement, runStrategies } from './messages.ts';

/** In `hello.capabilities`: this agent understands the message `intent`. An unknown message would end its session. */
export const intentsCapability = 'intents';

export const intent = assignment
  .omit({ options: true, policySHA256: true, optionsDigest: true, sourceDigest: true, updateStrategy: true })
  .extend({
    /** Absent when the operator cannot read the strategy from the spec: the agent keeps the one it has. */
    runStrategy: z.enum(runStrategies).optional(),
  });
export type Intent = z.infer<typeof intent>;

export function parseIntent(element: Element): Parsed<Intent> {
  return parseElement(intent, element);
}
