import { expect, it } from 'vitest';
import { isLasting, type Streak, withFailure } from '../../protocol/streak.ts';

const after = (...times: number[]) =>
  times.reduce<Streak | undefined>((streak, time) => withFailure(streak, time * 1_000), undefined);

it('five failed attempts over a minute are shown as stalled, and nothing less', () => {
  expect(isLasting('DiskFailed', after(0, 15, 30, 45, 60))).toBe(true);
  expect(isLasting('DiskFailed', after(0, 15, 30, 60))).toBe(false);
  expect(isLasting('DiskFailed', after(0, 1, 2, 3, 4, 5, 59))).toBe(false);
  expect(isLasting('DiskFailed', undefined)).toBe(false);
});

it('a VM that waits for others or for an answer is never stalled', () => {
  const long = after(0, 100, 200, 300, 400, 500);
  for (const reason of ['InsufficientResources', 'CallOverdue', 'BootTimeout', 'DiskInUse'] as const) {
    expect(isLasting(reason, long), reason).toBe(false);
  }
});

it('several looks at one answer count as one attempt', () => {
  const streak = withFailure(withFailure(undefined, 0, 5_000), 4_999, 5_000);
  expect(streak.tries).toBe(1);
  expect(withFailure(streak, 5_000, 5_000).tries).toBe(2);
});
