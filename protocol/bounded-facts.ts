// Cuts the facts of a host to the size that the operator keeps (`limits.factsBytes`). Only the list of boot files can
// be long: it is cut, and its last entry says how many files are missing.
import { type HostFacts, limits } from './messages.ts';

/** Room for one folder's JSON besides its path and files, including the entry that counts the missing files. */
const folderBytes = 64;

export function boundedFacts(facts: HostFacts): HostFacts {
  if (bytesOf(facts) <= limits.factsBytes) return facts;
  let room = limits.factsBytes - bytesOf({ ...facts, bootFiles: [] });
  const bootFiles: HostFacts['bootFiles'] = [];
  for (const { path, files } of facts.bootFiles) {
    room -= bytesOf(path) + folderBytes;
    if (room < 0) break;
    const kept = files.filter((file) => {
      room -= bytesOf(file) + 1;
      return room >= 0;
    });
    const missing = files.length - kept.length;
    bootFiles.push({ path, files: missing === 0 ? kept : [...kept, `… (${missing} more)`] });
  }
  return { ...facts, bootFiles };
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
