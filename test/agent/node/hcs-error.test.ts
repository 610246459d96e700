import { describe, expect, it } from 'vitest';
import { HcsError } from '../../../agent/node/hcs-error.ts';

const words = Array.from({ length: 0x22 }, (_, low) => 0x0100 + low);
const nameIn = (code: number) => new HcsError('HcsX', code).message.replace(/^HcsX: | \(0x[0-9a-f]+\)$/g, '');

describe('an error of HCS', () => {
  it('has the same name for every condition of HCS in both numberings', () => {
    for (const word of words) {
      expect(nameIn(0x8037_0000 + word)).toMatch(/^[A-Z]+(?:_[A-Z]+)*$/);
      expect(nameIn(0xc037_0000 + word)).toBe(nameIn(0x8037_0000 + word));
    }
    expect(nameIn(0x8037_0122)).toBe('HCS failure');
  });

  it.each([
    [0x8037_0120, 'SYSTEM_NOT_CONFIGURED_FOR_OPERATION'],
    [0x8037_0121, 'OPERATION_ALREADY_CANCELLED'],
    [0x8007_0005, 'ERROR_ACCESS_DENIED'],
    [0x8007_000e, 'ERROR_OUTOFMEMORY'],
    [0x8007_0057, 'ERROR_INVALID_PARAMETER'],
    [0x8007_05af, 'ERROR_COMMITMENT_LIMIT'],
    [0x8007_0003, 'Win32 error 3'],
  ])('%i is %s in messages', (code, name) => {
    expect(nameIn(code)).toBe(name);
  });

  it('is classified by how the agent handles it, in both numberings', () => {
    const kinds = [
      ['isNotFound', [0x8037_010e, 0xc037_010e, 0x8007_0490]],
      ['isAlreadyStopped', [0x8037_0110, 0xc037_0110, 0x8007_0490]],
      ['isAlreadyExists', [0x8037_010f, 0xc037_010f]],
      ['isDocumentRefused', [0x8037_010d, 0xc037_010d, 0x8007_000d, 0x8007_0057]],
      ['isServiceDisconnect', [0x8037_011e]],
      ['isAccessDenied', [0x8037_011b, 0x8007_0005]],
      ['isHypervisorMissing', [0x8037_0102, 0xc037_0102, 0x8037_0114]],
      [
        'isCapacity',
        [
          ...[0x8007_0008, 0x8007_000e, 0x8007_05aa, 0x8007_05af],
          ...[0xc035_000b, 0xc035_0073, 0xc035_0075, 0xd035_000b],
          ...[0xc037_002b, 0xc037_002c, 0xc037_002d, 0xc037_002f, 0xd037_002d],
        ],
      ],
    ] as const;
    const codes = [
      ...new Set(kinds.flatMap(([, matching]) => matching as readonly number[])),
      0x8000_4005,
      0x8037_0108,
      0xc037_002e,
      0xc035_0074,
    ];
    for (const [kind, matching] of kinds) {
      const found = codes.filter((code) => new HcsError('HcsX', code)[kind]);
      expect(new Set(found), kind).toEqual(new Set<number>(matching));
    }
  });

  it('accepts codes as signed numbers, as native calls return them', () => {
    expect(new HcsError('HcsX', 0x8037_010e | 0).hresult).toBe(0x8037_010e);
  });
});
