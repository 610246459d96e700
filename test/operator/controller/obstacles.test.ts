import { expect, it } from 'vitest';
import { Obstacles } from '../../../operator/controller/status/obstacles.ts';
import type { Verdict } from '../../../operator/controller/status/status.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { makeMachine } from '../../support/operator/objects.ts';

const gone: Verdict = { reason: 'ReferenceUnreadable', message: '404' };
const unanswered: Verdict = { ...gone, message: '503', isTransient: true };

async function judgedAfter(verdicts: readonly (Verdict | undefined)[], object = makeMachine()) {
  const clock = new ManualClock();
  const obstacles = new Obstacles(clock);
  let last: Verdict | undefined;
  for (const verdict of verdicts) {
    last = obstacles.judged(object, verdict);
    await clock.advance(15_000);
  }
  return last?.isLasting;
}

it('a reference that cannot be read is shown as stalled at the fifth attempt, after a minute', async () => {
  expect(await judgedAfter([gone, gone, gone, gone])).toBe(false);
  expect(await judgedAfter([gone, gone, gone, gone, gone])).toBe(true);
});

it('an API server that does not answer is not an attempt, and a success resets the count', async () => {
  expect(await judgedAfter(Array.from({ length: 20 }, () => unanswered))).toBe(false);
  expect(await judgedAfter([gone, gone, gone, gone, unanswered, unanswered])).toBe(false);
  expect(await judgedAfter([gone, gone, gone, gone, undefined, gone])).toBe(false);
});

it('the next leader keeps what was stored', async () => {
  const lastTransitionTime = '2026-01-01T00:00:00Z';
  const stored = { type: 'Stalled', status: 'True', reason: gone.reason, message: '404', lastTransitionTime } as const;
  expect(await judgedAfter([gone], makeMachine({ status: { conditions: [stored] } }))).toBe(true);
});
