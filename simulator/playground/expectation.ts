// The expected state of an example. Its annotation `examples.lcow.dev/expected` has the form `<phase>/<reason of
// Ready>`.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import type { Machine } from './cluster-view.ts';

export const expectedAnnotation = 'examples.lcow.dev/expected';

export interface Example {
  readonly file: string;
  readonly key: string;
  readonly expected: string;
}

const manifest = z.object({
  kind: z.literal('LinuxUtilityVM'),
  metadata: z.object({
    name: z.string(),
    namespace: z.string().default('default'),
    annotations: z.object({ [expectedAnnotation]: z.string() }),
  }),
});

export async function readExamples(folder: string): Promise<readonly Example[]> {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.yaml')).sort();
  const examples = await Promise.all(files.map((name) => examplesIn(join(folder, name))));
  return examples.flat();
}

async function examplesIn(file: string): Promise<Example[]> {
  return parseAllDocuments(await readFile(file, 'utf8')).map((document) => {
    const { metadata } = manifest.parse(document.toJS());
    return { file, key: `${metadata.namespace}/${metadata.name}`, expected: metadata.annotations[expectedAnnotation] };
  });
}

/** In the format of the annotation. */
export function stateOf(machine: Machine | undefined): string {
  return `${machine?.status?.phase ?? 'Pending'}/${readyCondition(machine)?.reason ?? 'Unknown'}`;
}

export function readyCondition(machine: Machine | undefined) {
  return machine?.status?.conditions?.find(({ type }) => type === 'Ready');
}

/** True in the expected state, and, if the VM runs, with output of its guest. */
export function isAsExpected(example: Example, machine: Machine | undefined): boolean {
  if (stateOf(machine) !== example.expected) return false;
  return machine?.status?.phase !== 'Running' || lastLogLine(machine) !== '';
}

export function lastLogLine(machine: Machine | undefined): string {
  const { head = [], tail = [] } = machine?.status?.guestLog ?? {};
  return tail.at(-1) ?? head.at(-1) ?? '';
}
