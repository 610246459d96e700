// Devices.Scsi and VirtualMachine.StorageQoS (docs/reference/hcs-documents.md §6.5, §6.6, §10 step 5).
import { Build, Limit, scsiControllerGuids } from './constants.ts';
import type { HostFacts } from './facts.ts';
import { unlessEmpty } from './json-numbers.ts';
import type { LinuxOptions } from './options.ts';
import type { ScsiController, StorageQoS } from './schema.ts';

/** Without VPMem a VM on build 17763 or later gets all four controllers, even if fewer were requested (quirk 6). */
export function scsiControllerCount(options: LinuxOptions, host: HostFacts): number {
  const withoutVPMem = options.VPMemDeviceCount === 0 && host.build >= Build.FourScsiControllers;
  return withoutVPMem ? Limit.ScsiControllers : options.SCSIControllerCount;
}

/** Controller indices in the byte order of their GUIDs, which is the key order in the document. */
const inKeyOrder = scsiControllerGuids
  .map((guid, index) => ({ guid, index }))
  .sort((a, b) => (a.guid < b.guid ? -1 : 1));

type Controllers = Readonly<Record<string, ScsiController>>;

/** Controllers without attachments, by the number of controllers. */
const emptyControllers: readonly Controllers[] = [0, 1, 2, 3, 4].map((count) =>
  Object.fromEntries(inKeyOrder.filter(({ index }) => index < count).map(({ guid }) => [guid, {}])),
);

/** `count` controllers. The first one has the read-only disk `rootDisk`, if given, at LUN 0. */
export function buildScsi(count: number, rootDisk: string | undefined): Controllers {
  const controllers = emptyControllers[count] ?? {};
  return rootDisk === undefined ? controllers : { ...controllers, [scsiControllerGuids[0]]: withRootDisk(rootDisk) };
}

function withRootDisk(path: string): ScsiController {
  return { Attachments: { '0': { Type: 'VirtualDisk', Path: path, ReadOnly: true } } };
}

/** Present when either limit is positive. The other one is then written even if it is negative. */
export function buildStorageQoS(options: LinuxOptions): StorageQoS | undefined {
  const { StorageQoSIopsMaximum: iops, StorageQoSBandwidthMaximum: bandwidth } = options;
  if (iops <= 0 && bandwidth <= 0) {
    return undefined;
  }
  return { IopsMaximum: unlessEmpty(iops), BandwidthMaximum: unlessEmpty(bandwidth) };
}
