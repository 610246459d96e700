// Addresses of Hyper-V sockets (hcs-runtime C.1, C.2): the 36 bytes of a SOCKADDR_HV.

export const addressFamilyHyperV = 34;
const addressLength = 36;
const vmIdOffset = 4;
const serviceIdOffset = 20;

/** A vsock port is the first field of this service GUID. */
const vsockTemplate = '-facb-11e6-bd58-64006a7986d3';

/** The service GUID under which a Linux guest reaches a vsock port of its host. */
export function vsockServiceId(port: number): string {
  if (!Number.isInteger(port) || port < 0 || port > 0xffff_ffff) throw new RangeError(`${port} is not a vsock port`);
  return `${port.toString(16).padStart(8, '0')}${vsockTemplate}`;
}

/** @param vmId the VM's RuntimeId, not the id of the compute system */
export function hyperVAddress(vmId: string, serviceId: string): Uint8Array {
  const address = Buffer.alloc(addressLength);
  address.writeUInt16LE(addressFamilyHyperV, 0);
  writeGuid(address, vmIdOffset, vmId);
  writeGuid(address, serviceIdOffset, serviceId);
  return address;
}

const guidLayout = /^([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})$/i;

/** In Windows memory order: the first three fields are little-endian numbers, the rest is as printed. */
function writeGuid(to: Buffer, offset: number, guid: string): void {
  const [, data1 = '', data2 = '', data3 = '', data4 = '', data5 = ''] = guidLayout.exec(guid) ?? [];
  if (data1 === '') throw new RangeError(`${JSON.stringify(guid)} is not a GUID`);
  to.writeUInt32LE(Number.parseInt(data1, 16), offset);
  to.writeUInt16LE(Number.parseInt(data2, 16), offset + 4);
  to.writeUInt16LE(Number.parseInt(data3, 16), offset + 6);
  to.write(data4 + data5, offset + 8, 'hex');
}
