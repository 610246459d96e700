// The texts of exits. Their parts come from HCS and from a guest.
import { describe, expect, it } from 'vitest';
import type { SystemExit } from '../../../agent/node/backend.ts';
import { lastExitOf, plannedExit, withCrashLog } from '../../../agent/vm/exit-texts.ts';

const time = '2026-01-01T00:00:00Z';
const crash = (crashLog: string): SystemExit => ({ exitType: 'UnexpectedExit', status: 0xc037_0106, crashLog });
const messageOf = (crashLog: string) => withCrashLog(lastExitOf(crash(crashLog), time), crash(crashLog)).message;

describe('the text of a crash', () => {
  it('is kept in its last 1,024 characters, none of which is cut in two', () => {
    for (const crashLog of ['😀'.repeat(600), `x${'😀'.repeat(600)}`, `${'😀'.repeat(600)}x`]) {
      const message = messageOf(crashLog);
      expect(message.isWellFormed()).toBe(true);
      expect(message.length).toBeGreaterThanOrEqual(1_023);
      expect(message.length).toBeLessThanOrEqual(1_024);
      expect(crashLog.endsWith(message)).toBe(true);
    }
  });

  it('is complete, after the reason of the end, if there is room', () => {
    expect(messageOf('Kernel panic')).toBe('the VM ended unexpectedly (status 0xc0370106): Kernel panic');
  });

  it('is also part of an exit that the agent planned', () => {
    const { message } = plannedExit('Halted', crash('Kernel panic'), time);
    expect(message).toMatch(/while the agent stopped it \(Halted\): Kernel panic$/);
  });
});
