import { expect, it } from 'vitest';
import { DisruptionJudge, type WatchedEvent, watchedEvent } from './disruption-judge.ts';

interface Shown {
  readonly isReady?: boolean;
  readonly restartedAt?: string;
  readonly handled?: string;
  readonly runtimeID?: string;
  readonly isEvicting?: boolean;
  readonly isDeleting?: boolean;
}

function shown(ordinal: number, { isReady = true, runtimeID = 'first', ...more }: Shown = {}): WatchedEvent {
  return watchedEvent.parse({
    type: 'MODIFIED',
    object: {
      metadata: {
        ...{ name: `x-${ordinal}`, uid: `uid-${ordinal}`, labels: { 'lcow.dev/ordinal': String(ordinal) } },
        ...(more.restartedAt !== undefined && { annotations: { 'lcow.dev/restartedAt': more.restartedAt } }),
        ...(more.isDeleting === true && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
      },
      status: {
        ...{ nodeName: `node-${ordinal}`, runtimeID, restartedAt: more.handled },
        conditions: [
          { type: 'Ready', status: isReady ? 'True' : 'False' },
          ...(more.isEvicting === true ? [{ type: 'Evicting', status: 'True' }] : []),
        ],
      },
    },
  });
}

/** Of three VMs that are ready, one of which may be unavailable. */
function judge(): DisruptionJudge {
  const made = new DisruptionJudge(3, 1);
  for (const ordinal of [0, 1, 2]) made.observe(shown(ordinal), 0);
  return made;
}

it('finds a VM that is taken away while another one is', () => {
  for (const taken of [{ restartedAt: 'x' }, { isEvicting: true }, { isDeleting: true }]) {
    const subject = judge();
    subject.observe(shown(2, { restartedAt: 'x' }), 10_000);
    expect(subject.violations).toEqual([]);
    subject.observe(shown(1, taken), 10_001);
    expect(subject.violations).toEqual([expect.stringMatching(/ of x-1 while 1 are unavailable: x-2$/)]);
    expect(subject.disruptions).toBe(2);
  }
});

it('finds a VM that is taken away while another one is lost, once the operator must know', () => {
  const subject = judge();
  subject.observe(shown(2, { isReady: false }), 10_000);
  subject.observe(shown(1, { restartedAt: 'x' }), 10_100);
  expect(subject.violations).toEqual([]);
  const later = judge();
  later.observe(shown(2, { isReady: false }), 10_000);
  later.observe(shown(1, { restartedAt: 'x' }), 13_000);
  expect(later.violations).toHaveLength(1);
});

it('allows one VM after another, what a lost VM gets, and the end of VMs that are wanted no more', () => {
  const subject = judge();
  subject.observe(shown(2, { restartedAt: 'x' }), 10_000);
  subject.observe(shown(2, { restartedAt: 'x', handled: 'x', isReady: false, runtimeID: 'second' }), 11_000);
  subject.observe(shown(2, { restartedAt: 'x', handled: 'x', runtimeID: 'second' }), 12_000);
  subject.observe(shown(1, { isReady: false }), 20_000);
  subject.observe(shown(1, { isReady: false, restartedAt: 'x' }), 30_000);
  subject.wants(2, 40_000);
  subject.observe(shown(2, { isDeleting: true }), 50_000);
  expect(subject.violations).toEqual([]);
  expect(subject.disruptions).toBe(1);
});

it('finds a run for which there is no reason, and knows that the VMs of an agent end with it', () => {
  const subject = judge();
  subject.observe(shown(0, { runtimeID: 'second' }), 10_000);
  expect(subject.violations).toEqual(['x-0 runs again, and nobody asked for it']);
  subject.losesAgent('node-1');
  subject.observe(shown(1, { isReady: false }), 11_000);
  subject.observe(shown(1, { runtimeID: 'second' }), 12_000);
  expect(subject.violations).toHaveLength(1);
  subject.observe(shown(1, { runtimeID: 'third' }), 13_000);
  expect(subject.violations).toHaveLength(1);
  subject.observe(shown(1, { runtimeID: 'fourth' }), 14_000);
  expect(subject.violations).toHaveLength(2);
});
