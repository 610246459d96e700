// A conversation of an agent and an operator of some version, as it went over the wire: one line a frame.
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

/** What it says is of other VMs and another session now. */
export function retold<T>(told: T, names: ReadonlyMap<string, string>): T {
  let text = JSON.stringify(told);
  for (const [before, now] of names) text = text.replaceAll(before, now);
  return JSON.parse(text);
}

/** As a version to come may say it: with members that nobody knows yet, wherever they may stand. */
export function withUnknownMembers(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withUnknownMembers);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([name, member]) => [
    name,
    // Requested options are strict: a VM is never made weaker than was asked.
    name === 'options' ? member : withUnknownMembers(member),
  ]);
  return { ...Object.fromEntries(members), memberToCome: { of: ['a later version'] } };
}
