import { writeFile } from 'node:fs/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { defaultLinkTimes } from '../../../agent/bounds/timeouts.ts';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { type Clock, systemClock } from '../../../runtime/clock.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { isRunning, startLinked, welcome, welcomed } from '../../support/agent/linked-agent.ts';
import type { Session } from '../../support/agent/scripted-operator.ts';
import { until } from '../../support/until.ts';

/** A clock whose waits are five hundred times as short, and are recorded. */
function waiting(now: () => number): { readonly clock: Clock; readonly waits: number[] } {
  const waits: number[] = [];
  const after: Clock['after'] = (milliseconds, task) => {
    waits.push(milliseconds);
    return systemClock.after(milliseconds / 500, task);
  };
  return { clock: { now, after }, waits };
}

/** A clock on which only renewals wait. Each `pass` ends the current waits. */
function renewals(): { readonly clock: Clock; readonly pass: () => Promise<void> } {
  const { renewal } = defaultLinkTimes;
  const waiting = new Set<() => void>();
  const after: Clock['after'] = (milliseconds, task) => {
    if (milliseconds !== renewal && milliseconds !== renewal / 30) return systemClock.after(milliseconds, task);
    waiting.add(task);
    return { cancel: () => waiting.delete(task) };
  };
  const pass = async () => {
    await until('somebody waits', () => waiting.size > 0);
    for (const task of waiting) {
      waiting.delete(task);
      task();
    }
  };
  return { clock: { now: systemClock.now, after }, pass };
}

describe('the link', () => {
  it('renews its connection before the old one ends, and reads the token again', async () => {
    await using linked = await startLinked({ renewal: 50 });
    const first = await welcomed(linked);
    await writeFile(linked.tokenFile, 'second token');
    const second = await linked.operator.session(1);
    await second.hello();
    expect(first.open).toBe(true);
    second.send(welcome(2));
    await until('the old one ends', () => !first.open);
    expect(second.authorization).toBe('Bearer second token');
    expect(second.open).toBe(true);
  });

  it.each(['before', 'after'])(
    'ends no stream that is opened during a renewal, just %s the welcome of the new session',
    async (when) => {
      const openings = new Set<number>();
      const { clock, pass } = renewals();
      await using linked = await startLinked({ ...defaultLinkTimes, clock, random: () => 0.5, openings });
      const first = await welcomed(linked);
      await pass();
      const second = await linked.operator.session(1);
      await second.hello();
      const open = async () => {
        first.send({ type: 'document', epoch: 1, stream: 1, uid, window: 4_096 });
        await until('the stream is open', () => openings.size === 1);
      };
      if (when === 'before') await open();
      second.send(welcome(2));
      second.send({ type: 'assign', epoch: 2, virtualMachine: makeAssignment() });
      await second.next('observed', isRunning);
      if (when === 'after') await open();
      for (let minutes = 0; minutes < 60; minutes += 1) await pass();
      expect(linked.operator.sessions).toHaveLength(2);
      expect(first.open).toBe(true);
      first.send({ type: 'streamClose', stream: 1 });
      await until('the stream is closed', () => openings.size === 0);
      await pass();
      await until('the first session ends', () => !first.open);
    },
  );

  it('does not obey an old leader, neither beside the session of the current one nor after it', async () => {
    await using linked = await startLinked({ renewal: 50 });
    const first = await linked.operator.session(0);
    await first.hello();
    first.send(welcome(5));
    first.send({ type: 'assign', epoch: 5, virtualMachine: makeAssignment() });
    await first.next('observed', isRunning);
    // The new connection reaches an earlier leader.
    const old = await linked.operator.session(1);
    await old.hello();
    old.send(welcome(4));
    old.send({ type: 'desired', epoch: 4, virtualMachines: [makeAssignment({ generation: 3 })], last: true });
    old.send({ type: 'release', epoch: 4, uid });
    await until('it is turned away', () => !old.open);
    expect(first.open).toBe(true);
    const next = await linked.operator.session(2);
    const hello = await next.hello();
    expect(hello.virtualMachines).toMatchObject([{ uid, generation: 1, phase: 'Running' }]);
    next.send(welcome(6));
    next.send({ type: 'assign', epoch: 6, virtualMachine: makeAssignment({ generation: 7 }) });
    first.send({ type: 'release', epoch: 5, uid });
    await next.next('observed', ({ virtualMachine }) => virtualMachine['generation'] === 7);
    await until('the first one ends', () => !first.open);
    expect((await linked.node.control.system(systemIdOf(uid)))?.state).toBe('Running');
    expect(linked.core.removed.size).toBe(0);
  });

  it('gives up a silent connection, and dials again', async () => {
    await using linked = await startLinked();
    const first = await linked.operator.session(0);
    await first.hello();
    first.send(welcome(1, 0.1));
    let pings = 0;
    const pinging = setInterval(() => {
      pings += 1;
      first.ping();
    }, 50);
    onTestFinished(() => clearInterval(pinging));
    await until('more heartbeats than may be missed', () => pings === 10);
    expect(linked.operator.sessions).toHaveLength(1);
    // This takes less time than three heartbeats of the default period, which would exceed the time limit of the test.
    linked.relay.silence();
    const second = await welcomed(linked, 2);
    // The operator's end of the first connection has not noticed.
    expect(first.open).toBe(true);
    second.send({ type: 'assign', epoch: 2, virtualMachine: makeAssignment() });
    await second.next('observed', isRunning);
  });

  it('dials again soon after a session of some seconds is lost, however long the first session took to open', async () => {
    const { firstRetry, lastRetry } = defaultLinkTimes;
    let ahead = 0;
    const { clock, waits } = waiting(() => Date.now() + ahead);
    const slow = { ...defaultLinkTimes, welcome: 3_600_000 };
    await using linked = await startLinked({ ...slow, clock, random: () => 0.999, failures: 8 });
    const first = await welcomed(linked, 1);
    expect(waits).toContain(0.999 * lastRetry);
    ahead = 10_000;
    waits.length = 0;
    first.close(1011);
    await linked.operator.session(1);
    expect(waits).toContain(0.999 * firstRetry);
    expect(waits).not.toContain(0.999 * lastRetry);
  });

  it.each([
    ['is lost soon after its start is dialled again soon', (session: Session) => session.cut(), 4],
    [
      'is closed soon after its start is dialled again after a long pause',
      (session: Session) => session.close(4409),
      2 ** 9,
    ],
  ] as const)('a session that %s', async (_how, end, retries) => {
    const { firstRetry, lastRetry } = defaultLinkTimes;
    const { clock, waits } = waiting(() => 0);
    const slow = { ...defaultLinkTimes, welcome: 3_600_000 };
    await using linked = await startLinked({ ...slow, clock, random: () => 0.999, failures: 8 });
    const first = await welcomed(linked, 1);
    waits.length = 0;
    end(first);
    await linked.operator.session(1);
    expect(waits).toContain(0.999 * Math.min(lastRetry, retries * firstRetry));
  });

  it('keeps the old connection when it cannot get a new one', async () => {
    await using linked = await startLinked({ renewal: 50, welcome: 100 });
    const first = await welcomed(linked);
    await linked.operator.session(2);
    expect(first.open).toBe(true);
    first.send({ type: 'assign', epoch: 1, virtualMachine: makeAssignment() });
    await first.next('observed', isRunning);
  });
});
