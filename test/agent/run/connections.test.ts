// Connections from the host to a guest that never answers.
import type { Duplex } from 'node:stream';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { defaultTimeouts, fixedTimes } from '../../../agent/bounds/timeouts.ts';
import type { RuntimeId } from '../../../agent/node/backend.ts';
import type { GuestListener, GuestSockets } from '../../../agent/node/guest-sockets.ts';
import { expectationsOf } from '../../../agent/run/expectations.ts';
import { GuestRun } from '../../../agent/run/guest-run.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.throwIfAborted();
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

const listener: GuestListener = { accept: untilAborted, close: () => Promise.resolve() };
const silent: GuestSockets = {
  listen: () => Promise.resolve(listener),
  connect: (_vm, _port, signal) => untilAborted(signal),
};

async function openRun(clock: ManualClock): Promise<GuestRun> {
  return await GuestRun.open(silent, crypto.randomUUID() as RuntimeId, {
    uid: 'u',
    clock,
    logger: pino({ level: 'silent' }),
    randomBytes: (count) => new Uint8Array(count),
    timeouts: defaultTimeouts,
    onLines: () => undefined,
    onPhase: () => undefined,
    onConnection: () => undefined,
    expects: expectationsOf(),
  });
}

async function failureOf(connecting: Promise<Duplex>): Promise<unknown> {
  return await connecting.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('a connection to a guest that does not answer', () => {
  it('is given up after a while', async () => {
    const clock = new ManualClock();
    const run = await openRun(clock);
    let failure: unknown;
    const connecting = failureOf(run.connect(80, new AbortController().signal)).then((error) => {
      failure = error;
    });
    await clock.advance(fixedTimes.run.dial - 1);
    expect(failure).toBeUndefined();
    await clock.advance(1);
    await connecting;
    expect(failure).toMatchObject({ name: 'TimeoutError' });
    await run.abandon();
  });

  it('is given up with the run of the VM, and with its user', async () => {
    const run = await openRun(new ManualClock());
    const user = new AbortController();
    const [first, second] = [run.connect(80, user.signal), run.connect(80, new AbortController().signal)].map(
      failureOf,
    );
    user.abort(new Error('the user has gone'));
    expect(await first).toMatchObject({ message: 'the user has gone' });
    await run.abandon();
    expect(await second).toMatchObject({ name: 'AbortError' });
  });
});
