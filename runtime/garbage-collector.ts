// Runs V8's collector directly, where knowing our own memory use saves more than it costs.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { z } from 'zod';

export type Collection =
  /** Collects young objects alone. */
  | { readonly type: 'minor' }
  /** Collects all objects, as thoroughly as possible: a pause of some 100 ms. */
  | { readonly type: 'major'; readonly flavor: 'last-resort' };

const collector = z.custom<(collection: Collection) => void>((value) => typeof value === 'function');
let found: z.infer<typeof collector> | undefined;

export function collectGarbage(collection: Collection): void {
  found ??= find();
  found(collection);
}

function find(): z.infer<typeof collector> {
  setFlagsFromString('--expose-gc');
  return collector.parse(runInNewContext('gc'));
}
