// What hosts have.
export const bootFolder = 'C:\\LinuxBootFiles';
/** A console pipe that any VM may have, but only one at a time. */
export const sharedPipe = '\\\\.\\pipe\\shared';

export const diskOf = (machine: string) => `C:\\disks\\${machine}.vhd`;

export const memoryOfHost = 262_144;
