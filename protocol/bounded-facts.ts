// The facts of a host within what the operator keeps of them (`limits.factsBytes`). Only the list of boot files can be long:
// it is cut, and says how much is missing.
import { type HostFacts, limits } from './messages.ts';

/** Of one folder besides its path and files, with the word of what is missing. */
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
