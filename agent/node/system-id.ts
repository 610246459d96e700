// Identifies our compute systems: they have our owner tag *and* an id made from the uid of a resource (design §3, §8).
import { z } from 'zod';
import type { SystemId } from './backend.ts';

export const ownerTag = 'lcow-agent';

const prefix = 'luvm-';
const uuid = z.uuid();

export function systemIdOf(uid: string): SystemId {
  return `${prefix}${uid}` as SystemId;
}

export function uidOf(id: string): string | undefined {
  const uid = id.slice(prefix.length);
  return id.startsWith(prefix) && uuid.safeParse(uid).success ? uid : undefined;
}
