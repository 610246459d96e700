// What hosts have.
export const bootFolder = 'C:\\LinuxBootFiles';
/** A console pipe that any VM may have, but only one at a time. */
export const sharedPipe = '\\\\.\\pipe\\shared';

export const diskOf = (machine: string) => `C:\\disks\\${machine}.vhd`;

export const memoryOfHost = 262_144;

/** The labels of a Node over which sets are spread. There are two zones. */
export function domainsOf(node: string): Readonly<Record<string, string>> {
  const zone = Number(node.slice('node-'.length)) % 2 === 0 ? 'even' : 'odd';
  return { 'kubernetes.io/hostname': node, 'topology.kubernetes.io/zone': zone };
}
