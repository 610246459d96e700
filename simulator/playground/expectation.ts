// The expected state of an example. Its annotation `examples.lcow.dev/expected` has the form `<phase>/<reason of
// Ready>`.

import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
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

export async function readExamples(folders: readonly string[]): Promise<readonly Example[]> {
  const files = (await Promise.all(folders.map(manifestsIn))).flat();
  return (await Promise.all(files.map(examplesIn))).flat();
}

async function manifestsIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.yaml'));
  return names.sort().map((name) => join(folder, name));
}

async function examplesIn(file: string): Promise<Example[]> {
  return parseAllDocuments(await readFile(file, 'utf8')).map((document) => {
    const { metadata } = manifest.parse(document.toJS());
    return { file, key: `${metadata.namespace}/${metadata.name}`, expected: metadata.annotations[expectedAnnotation] };
  });
}

/** The user asked for an example that is not there. */
export class UnknownExampleError extends Error {}

/** The examples that the user names, by their files without `.yaml`; all if none is named. */
export function chooseExamples(all: readonly Example[], names: readonly string[] | undefined): readonly Example[] {
  if (names === undefined) return all;
  const unknown = names.find((name) => all.every((each) => nameOf(each) !== name));
  if (unknown === undefined) return all.filter((each) => names.includes(nameOf(each)));
  const known = [...new Set(all.map(nameOf))].join(', ');
  throw new UnknownExampleError(`--example ${unknown}: there is no such example; there are ${known}`);
}

function nameOf({ file }: Example): string {
  return basename(file, '.yaml');
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
