// Changes of a manifest after which a VM cannot run, runs only where there is room, or waits for what another VM uses.
// Each is a merge patch of the spec; the second one takes it back.
import type { LinuxUtilityVMManifestSpec } from '../../crds/linux-utility-vm.ts';
import { diskOf, sharedPipe } from './system/host-names.ts';

type Spec = Readonly<Record<string, unknown>>;

export interface WrongSpec {
  readonly wrong: Spec;
  readonly mended: Spec;
}

/** No VM has more unless something is wrong. */
const usualMemory = 4_096;
const guid = '6d9fd4a4-5b1e-4bd0-8f1d-5d2f6f3c8a11';
const withDisk = (path: string) => ({ storage: { disks: [{ name: 'data', path, readOnly: false }] } });
const withDevice = { devices: { assigned: [{ instanceID: 'PCIP\\VEN_1414' }] } };

/** `number` decides which VM's disk is meant. */
export function wrongSpecs({ storage }: LinuxUtilityVMManifestSpec, number: number): readonly WrongSpec[] {
  const without = (...members: readonly string[]) => Object.fromEntries(members.map((member) => [member, null]));
  return [
    { wrong: { boot: { filesPath: 'C:\\nowhere' } }, mended: without('boot') },
    { wrong: { console: { pipe: sharedPipe } }, mended: without('console') },
    { wrong: { console: { pipe: '\\\\.\\pipe\\not-allowed' } }, mended: without('console') },
    { wrong: withDisk(diskOf(`vm-${1 + (number % 4)}`)), mended: { storage: storage ?? null } },
    { wrong: withDisk('D:\\elsewhere.vhd'), mended: { storage: storage ?? null } },
    { wrong: withDisk('C:\\disks\\missing.vhd'), mended: { storage: storage ?? null } },
    { wrong: withDevice, mended: without('devices') },
    { wrong: { processor: { cpuGroupID: guid } }, mended: { processor: { cpuGroupID: null } } },
    { wrong: { resourcePartitionID: guid }, mended: without('resourcePartitionID') },
    // More than any host has, and more than is left on a host with another VM.
    { wrong: { memory: { sizeInMB: 1_048_576 } }, mended: { memory: { sizeInMB: 512 } } },
    { wrong: { memory: { sizeInMB: 261_000 } }, mended: { memory: { sizeInMB: 512 } } },
    { wrong: { guest: { useConnection: false } }, mended: without('guest') },
  ];
}

/** Takes back whatever is wrong with the spec of a VM. */
export function mending(name: string, { memory, storage }: LinuxUtilityVMManifestSpec): Spec {
  const isTooLarge = (memory?.sizeInMB ?? 0) > usualMemory;
  const isForeign = storage?.disks?.some(({ path }) => path !== diskOf(name)) === true;
  return {
    ...{ boot: null, console: null, devices: null, guest: null, resourcePartitionID: null },
    processor: { cpuGroupID: null },
    ...(isTooLarge && { memory: { sizeInMB: 512 } }),
    ...(isForeign && { storage: null }),
  };
}
