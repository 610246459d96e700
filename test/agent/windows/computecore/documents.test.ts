// Documents that HCS sends about the end of a system.
import { expect, it } from 'vitest';
import { parseCrashLog } from '../../../../agent/windows/computecore/documents.ts';

const parsed = (CrashLog: string) => parseCrashLog(JSON.stringify({ CrashLog })) ?? '';

it('keep the end of a long crash log, and no character of it is cut in two', () => {
  for (const text of ['😀'.repeat(10_000), `${'😀'.repeat(10_000)}x`]) {
    const kept = parsed(text);
    expect(text.endsWith(kept)).toBe(true);
    expect(kept.length).toBeLessThan(text.length);
    expect(kept.isWellFormed()).toBe(true);
  }
});

it('have no crash log if it is empty, absent or no text', () => {
  expect(parseCrashLog(JSON.stringify({ CrashLog: ' \n' }))).toBeUndefined();
  for (const document of [undefined, '', '{}', '{"CrashLog":7}', 'no JSON']) {
    expect(parseCrashLog(document)).toBeUndefined();
  }
});
