import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { hyperVAddress, vsockServiceId } from '../../../../agent/windows/hvsock/address.ts';

const goldenCase = z.object({
  name: z.string(),
  vmId: z.string(),
  port: z.int().optional(),
  serviceId: z.string().optional(),
  serviceGuid: z.string(),
  sockaddrHex: z.string(),
});
const file = new URL('../../../golden/hvsock-addresses.json', import.meta.url);
const cases = z
  .array(goldenCase)
  .length(40)
  .parse(JSON.parse(readFileSync(file, 'utf8')));

describe('addresses of Hyper-V sockets', () => {
  it.each(cases)('equal those of the original: $name', ({ vmId, port, serviceId, serviceGuid, sockaddrHex }) => {
    const service = port === undefined ? (serviceId ?? '') : vsockServiceId(port);
    expect(service.toLowerCase()).toBe(serviceGuid);
    expect(Buffer.from(hyperVAddress(vmId, service)).toString('hex')).toBe(sockaddrHex);
  });

  it('are refused for an invalid port or GUID', () => {
    for (const port of [-1, 0.5, 2 ** 32, Number.NaN]) expect(() => vsockServiceId(port)).toThrow(RangeError);
    for (const id of ['', 'x', '{11112222-3333-4444-5555-666677778888}', '11112222-3333-4444-5555-66667777888g'])
      expect(() => hyperVAddress(id, vsockServiceId(1))).toThrow(RangeError);
  });
});
