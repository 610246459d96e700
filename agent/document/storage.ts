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

/** Controller indices in the byte order of their GUIDs, which is the order of the map's keys in the text. */
const inKeyOrder = scsiControllerGuids
  .map((guid, index) => ({ guid, index }))
  .sort((a, b) => (a.guid < b.guid ? -1 : 1));

type Controllers = Readonly<Record<string, ScsiController>>;

/** By their count: nothing attached yet. */
const emptyControllers: readonly Controllers[] = [0, 1, 2, 3, 4].map((count) =>
  Object.fromEntries(inKeyOrder.filter(({ index }) => index < count).map(({ guid }) => [guid, {}])),
);

/** `count` controllers; the first one holds the read-only disk `rootDisk` at LUN 0 when given. */
export function buildScsi(count: number, rootDisk: string | undefined): Controllers {
  const controllers = emptyControllers[count] ?? {};
  return rootDisk === undefined ? controllers : { ...controllers, [scsiControllerGuids[0]]: withRootDisk(rootDisk) };
}

function withRootDisk(path: string): ScsiController {
  return { Attachments: { '0': { Type: 'VirtualDisk', Path: path, ReadOnly: true } } };
}

/** Present when one of the two limits is positive; then a negative other one is written too. */
export function buildStorageQoS(options: LinuxOptions): StorageQoS | undefined {
  const { StorageQoSIopsMaximum: iops, StorageQoSBandwidthMaximum: bandwidth } = options;
  if (iops <= 0 && bandwidth <= 0) {
    return undefined;
  }
  return { IopsMaximum: unlessEmpty(iops), BandwidthMaximum: unlessEmpty(bandwidth) };
}
