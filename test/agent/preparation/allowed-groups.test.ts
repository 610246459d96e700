import { describe, expect, it } from 'vitest';
import { type AllowedGroups, requireAllowedGroups } from '../../../agent/preparation/allowed-groups.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';

const [mine, other] = ['0b7d6a3f-2c1e-4c55-9a51-2f7f0c1d2e3f', '0b7d6a3f-2c1e-4c55-9a51-2f7f0c1d2e30'];
const none = '00000000-0000-0000-0000-000000000000';
const allowed: AllowedGroups = { cpuGroups: [mine.toUpperCase()], resourcePartitions: [mine] };

describe('the groups that a spec names', () => {
  it.each<[string, RequestedOptions]>([
    ['absent', {}],
    ['the null group', { CPUGroupID: none }],
    ['empty texts', { CPUGroupID: '', ResourcePartitionID: '' }],
    ['an allowed CPU group, in any case', { CPUGroupID: mine }],
    ['an allowed partition, in any case', { ResourcePartitionID: mine.toUpperCase() }],
  ])('can be %s', (_, requested) => {
    expect(() => requireAllowedGroups(requested, allowed)).not.toThrow();
  });

  it.each<[string, RequestedOptions, string, AllowedGroups | undefined]>([
    ['another CPU group', { CPUGroupID: other }, 'CPUGroupNotAllowed', allowed],
    ['an allowed one in braces', { CPUGroupID: `{${mine}}` }, 'CPUGroupNotAllowed', allowed],
    ['an allowed one with a space', { CPUGroupID: `${mine} ` }, 'CPUGroupNotAllowed', allowed],
    ['a pattern', { CPUGroupID: '*' }, 'CPUGroupNotAllowed', allowed],
    ['any CPU group by default', { CPUGroupID: mine }, 'CPUGroupNotAllowed', undefined],
    ['another partition', { ResourcePartitionID: other }, 'ResourcePartitionNotAllowed', allowed],
    ['the null partition', { ResourcePartitionID: none }, 'ResourcePartitionNotAllowed', allowed],
    ['any partition by default', { ResourcePartitionID: mine }, 'ResourcePartitionNotAllowed', undefined],
  ])('cannot be %s', (_, requested, reason, by) => {
    expect(() => requireAllowedGroups(requested, by)).toThrow(expect.objectContaining({ reason }));
  });
});
