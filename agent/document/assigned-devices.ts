// Devices.VirtualPci: host devices handed to the VM at boot (docs/reference/hcs-documents.md §6.4).
import type { BuildContext } from './build-context.ts';
import { sortedRecord } from './byte-order.ts';
import { Build } from './constants.ts';
import { unlessEmpty } from './json-numbers.ts';
import { type BootDevice, DocumentError } from './outcome.ts';
import type { VirtualPciDevice } from './schema.ts';

/**
 * Assigning devices does not switch PCI on in the guest: without VPCIEnabled the kernel still gets `pci=off` (quirk
 * 14).
 */
export function buildAssignedDevices(
  context: BuildContext,
  hasNuma: boolean,
): Record<string, VirtualPciDevice> | undefined {
  const { options, host } = context;
  if (options.AssignedDevices.length === 0) {
    return undefined;
  }
  assignGuids(context);
  const propagateNumaAffinity = hasNuma && host.build >= Build.VirtualNuma ? true : undefined;
  return sortedRecord(
    context.assigned.map((device) => [device.vmbusGuid, pciDevice(device, propagateNumaAffinity)] as const),
  );
}

/**
 * GUIDs are drawn in the order of the option. Two devices are the same only if id and function are equal as written.
 */
function assignGuids(context: BuildContext): void {
  const seen = new Set<string>();
  for (const { deviceInstanceID, virtualFunctionIndex } of context.options.AssignedDevices) {
    const identity = `${virtualFunctionIndex} ${deviceInstanceID}`;
    if (seen.has(identity)) {
      throw new DocumentError(
        'DuplicateDevice',
        `device ${deviceInstanceID} with index ${virtualFunctionIndex} is specified multiple times`,
      );
    }
    seen.add(identity);
    context.assigned.push({ vmbusGuid: context.randomGuid(), deviceInstanceID, virtualFunctionIndex });
  }
}

function pciDevice(device: BootDevice, propagateNumaAffinity: true | undefined): VirtualPciDevice {
  return {
    Functions: [
      {
        DeviceInstancePath: unlessEmpty(device.deviceInstanceID),
        VirtualFunction: unlessEmpty(device.virtualFunctionIndex),
      },
    ],
    PropagateNumaAffinity: propagateNumaAffinity,
  };
}
