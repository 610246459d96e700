// Assigned devices from the devices of an OCI spec (docs/reference/hcs-documents.md §9.6).
import type { LinuxOptions } from '../agent/document/options.ts';
import { baseName, parentFolder } from '../agent/document/windows-paths.ts';
import type { AnnotationReader } from './reader.ts';
import type { OciDevice } from './spec.ts';
import { parseUint16 } from './values.ts';

const deviceTypes: ReadonlySet<string> = new Set(['vpci-instance-id', 'vpci', 'gpu']);

/** Devices of other types are skipped with a warning. */
export function readDevices(reader: AnnotationReader, devices: readonly OciDevice[]): LinuxOptions['AssignedDevices'] {
  return devices.flatMap(({ id, idType }) => {
    if (deviceTypes.has(idType)) return [assigned(id)];
    reader.warn(`device type ${idType} invalid, skipping`, { device: { id, idType } });
    reader.ignore(`windows.devices '${id}'`, idType, `its type is none of ${[...deviceTypes].join(', ')}`);
    return [];
  });
}

/** A last path element that is a number selects a virtual function of the device above it. */
function assigned(id: string): LinuxOptions['AssignedDevices'][number] {
  const virtualFunctionIndex = parseUint16(baseName(id));
  return virtualFunctionIndex === undefined
    ? { deviceInstanceID: id, virtualFunctionIndex: 0 }
    : { deviceInstanceID: parentFolder(id), virtualFunctionIndex };
}
