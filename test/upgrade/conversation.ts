// A recorded conversation of an agent and an operator of one version, as sent over the wire: one line per frame.
import { readFile } from 'node:fs/promises';
import { z } from 'zod';

const message = z.looseObject({ type: z.string() });
const frame = z.object({ from: z.enum(['agent', 'operator']), message });
export type Frame = z.infer<typeof frame>;
export type Message = z.infer<typeof message>;

export const fixture = (version: string, name: string) => new URL(`./fixtures/${version}/${name}`, import.meta.url);

export async function readConversation(version: string): Promise<readonly Frame[]> {
  const lines = (await readFile(fixture(version, 'conversation.jsonl'), 'utf8')).trim().split('\n');
  return lines.map((line) => frame.parse(JSON.parse(line)));
}

/** Replaces the names of VMs and sessions by those of the current test. */
export function retold<T>(told: T, names: ReadonlyMap<string, string>): T {
  let text = JSON.stringify(told);
  for (const [before, now] of names) text = text.replaceAll(before, now);
  return JSON.parse(text);
}

/** Adds unknown members everywhere, as a later version can. */
export function withUnknownMembers(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withUnknownMembers);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([name, member]) => [
    name,
    // Requested options are strict, so that no VM is weaker than requested.
    name === 'options' ? member : withUnknownMembers(member),
  ]);
  return { ...Object.fromEntries(members), memberToCome: { of: ['a later version'] } };
}
