// Cuts the facts of a host to the size that the operator keeps (`limits.factsBytes`). Only the lists of networks and of
// boot files can be long. Networks have a size of their own; the last entry of a list of files says how many are missing.
import { type HostFacts, limits } from './messages.ts';
import { boundedNetworkFacts } from './network-facts.ts';

/** Room for one folder's JSON besides its path and files, including the entry that counts the missing files. */
const folderBytes = 64;

export function boundedFacts(told: HostFacts): HostFacts {
  const facts = withBoundedNetworks(told);
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

function withBoundedNetworks(facts: HostFacts): HostFacts {
  if (facts.network === undefined) return facts;
  return { ...facts, network: boundedNetworkFacts(facts.network) };
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
