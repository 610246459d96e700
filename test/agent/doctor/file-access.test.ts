import { describe, expect, it } from 'vitest';
import { workerMayRead } from '../../../agent/doctor/file-access.ts';

const system = '(A;;FA;;;SY)(A;;FA;;;BA)';

describe('the worker process of a VM', () => {
  it.each([
    ['no list', 'O:BAG:SY'],
    ['a null list', 'D:NO_ACCESS_CONTROL'],
    ['a null list with owner and system list', 'O:SYG:SYD:NO_ACCESS_CONTROLS:AI'],
    ['an entry of its group', `D:P${system}(A;;FR;;;S-1-5-83-0)`],
    ['an entry for everyone', `D:AI${system}(A;ID;0x1200a9;;;WD)`],
    ['an entry for users', `O:SYG:SYD:AI${system}(A;ID;0x001200a9;;;BU)S:AI(AU;SA;FA;;;WD)`],
    ['an entry for authenticated users, as a SID', `D:${system}(A;;GR;;;S-1-5-11)`],
    ['a generic right as a number', `D:${system}(A;;0x80000000;;;BU)`],
    ['a list of rights', `D:${system}(A;;CCSWRPLO;;;AU)`],
    ['an earlier entry than the denying one', `D:(A;;FR;;;BU)(D;;FA;;;WD)`],
    ['a denied right that is not reading', `D:(D;;SD;;;WD)(A;;FR;;;BU)`],
  ])('can read a file with %s', (_, sddl) => {
    expect(workerMayRead(sddl)).toBe(true);
  });

  it.each([
    ['an empty list', 'D:'],
    ['an empty protected list', 'D:P'],
    ['entries of others', `D:P${system}(A;;FA;;;S-1-5-21-1-2-3-1000)`],
    ['an entry that only folders below it inherit', `D:${system}(A;OICIIO;FA;;;BU)`],
    ['a right to write', `D:${system}(A;;DCLCSD;;;BU)`],
    ['an earlier entry that denies', `D:(D;;FR;;;BU)(A;;FA;;;WD)`],
    ['an entry in the system list only', `D:P${system}S:(A;;FA;;;WD)`],
    ['an entry of another group whose SID begins alike', `D:P${system}(A;;FA;;;S-1-5-83-01)`],
  ])('cannot read a file with %s', (_, sddl) => {
    expect(workerMayRead(sddl)).toBe(false);
  });
});
