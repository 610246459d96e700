import { describe, expect, it } from 'vitest';
import { HnsError, type HnsReason } from '../../../agent/node/hns-error.ts';

const table: readonly (readonly [number, HnsReason])[] = [
  [0x803b_0001, 'NetworkNotFound'],
  [0x803b_0002, 'EndpointGone'],
  ...[0x8007_06ba, 0x8007_06be, 0x8007_06bf, 0x8007_0422, 0x803b_0020].map((code): readonly [number, HnsReason] => [
    code,
    'HNSUnavailable',
  ]),
  [0x803b_002f, 'AddressInUse'],
  ...[0x803b_001e, 0x803b_0032, 0x803b_0033].map((code) => [code, 'AddressOutsideSubnet'] as const),
  ...[0x803b_000d, 0x803b_000e, 0x803b_0015, 0x803b_0016].map((code) => [code, 'PolicyRejected'] as const),
  ...[0x8007_0020, 0x803b_0013].map((code) => [code, 'HostPortTaken'] as const),
  [0x803b_0014, 'EndpointInUse'],
  ...[0x8007_007e, 0x8007_007f, 0x8000_4001].map((code) => [code, 'HNSUnsupported'] as const),
  ...[0x8007_0005, 0x8000_4005, 0x803b_001b, 0x8000_ffff].map((code) => [code, 'HNSFailed'] as const),
];

describe('a failure of HNS', () => {
  it('has the reason that the reference gives its code', () => {
    expect(table.map(([code]) => [code, new HnsError('HcnCreateEndpoint', code).reason])).toEqual(table);
  });

  it('is about what the call names, if HNS only says that it finds nothing', () => {
    const notFound = (operation: string) => new HnsError(operation, 0x8007_0490);
    for (const operation of ['HcnOpenNetwork', 'HcnQueryNetworkProperties', 'HcnCreateEndpoint'])
      expect(notFound(operation)).toMatchObject({ reason: 'NetworkNotFound', isDoubtful: true });
    for (const operation of ['HcnOpenEndpoint', 'HcnQueryEndpointProperties', 'HcnDeleteEndpoint', 'HcnModifyEndpoint'])
      expect(notFound(operation)).toMatchObject({ reason: 'EndpointGone', isDoubtful: true });
    expect(new HnsError('HcnOpenEndpoint', 0x803b_0002).isDoubtful).toBe(false);
  });

  it('says whether the same call can succeed later', () => {
    const isRetryable = (code: number) => new HnsError('HcnCreateEndpoint', code).isRetryable;
    expect([0x8007_06ba, 0x803b_002f, 0x803b_0013, 0x803b_0001].map(isRetryable)).toEqual([true, true, true, true]);
    expect([0x803b_001e, 0x803b_000d, 0x8007_007e].map(isRetryable)).toEqual([false, false, false]);
  });

  it('is told in a sentence, with the code and what HNS says', () => {
    const { message } = new HnsError('HcnCreateEndpoint', 0x803b_002f | 0, 'taken\u001b[31m');
    expect(message).toBe('HcnCreateEndpoint: the address is in use or reserved (0x803b002f): taken\\x1b[31m');
    expect(new HnsError('HcnCreateEndpoint', 0x803b_002f, '\u001b'.repeat(100_000)).message.length).toBeLessThan(1200);
  });
});
