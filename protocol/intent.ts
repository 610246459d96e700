// What is wanted of a VM whose options cannot be told, since its spec or something that it refers to cannot be read (design
// §11). Whether a VM runs and what it runs are two questions: halting, restarting, pausing and draining need no options, so
// the agent keeps those that it has. One that has none starts nothing.
import { z } from 'zod';
import { assignment, type Element, type Parsed, parseElement, runStrategies } from './messages.ts';

/** In `hello.capabilities`: this agent understands the message `intent`. An unknown message would end its session. */
export const intentsCapability = 'intents';

export const intent = assignment
  .omit({ options: true, policySHA256: true, optionsDigest: true, sourceDigest: true, updateStrategy: true })
  .extend({
    /** Absent when the spec does not say it in a way that the operator understands: it stays as it is. */
    runStrategy: z.enum(runStrategies).optional(),
  });
export type Intent = z.infer<typeof intent>;

export function parseIntent(element: Element): Parsed<Intent> {
  return parseElement(intent, element);
}
