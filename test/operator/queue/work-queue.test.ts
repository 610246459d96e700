import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { apiErrorFromStatus } from '../../../operator/kubernetes/api-error.ts';
import { done, type Result } from '../../../operator/queue/result.ts';
import { type QueueObserver, type QueueOptions, WorkQueue } from '../../../operator/queue/work-queue.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { ManualClock, settle } from '../../support/clocks/manual-clock.ts';

const silent: QueueObserver = {
  added: () => {},
  started: () => {},
  finished: () => {},
  retried: () => {},
  overflowed: () => {},
};

function queueOf(work: QueueOptions['work'], changes: Partial<QueueOptions> = {}) {
  const clock = new ManualClock();
  const queue = new WorkQueue({
    name: 'test',
    clock,
    random: () => 0.5,
    observer: silent,
    concurrency: 4,
    maximumKeys: 100,
    work,
    resync: () => {},
    ...changes,
  });
  return { clock, queue };
}

describe('work queue', () => {
  it('works on a key once at a time, and once more if it was added in the meantime', async () => {
    const gate = Promise.withResolvers<void>();
    let runs = 0;
    const { queue } = queueOf(async () => {
      runs += 1;
      if (runs === 1) await gate.promise;
      return done;
    });
    for (let each = 0; each < 5; each += 1) queue.add('a');
    await settle();
    for (let each = 0; each < 5; each += 1) queue.add('a');
    expect(runs).toBe(1);
    gate.resolve();
    await settle();
    expect(runs).toBe(2);
  });

  it('repeats a failing key with growing pauses, and resets them after a success', async () => {
    const starts: number[] = [];
    let failing = true;
    const { queue, clock } = queueOf(() => {
      starts.push(clock.now());
      return Promise.resolve<Result>(failing ? { kind: 'Retry', error: new Error('no') } : done);
    });
    queue.add('a');
    await clock.advance(400_000);
    const pauses = starts.slice(1).map((time, index) => time - (starts[index] ?? 0));
    expect(pauses.slice(0, 4)).toEqual([75, 150, 300, 600]);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(60_000);
    failing = false;
    await clock.advance(60_000);
    failing = true;
    starts.length = 0;
    queue.add('a');
    await clock.advance(75);
    expect(starts).toHaveLength(2);
  });

  it('waits for as long as the API server asks, within a bound', async () => {
    const starts: number[] = [];
    const asked = [30_000, 86_400_000];
    const { queue, clock } = queueOf(() => {
      starts.push(clock.now());
      const error = apiErrorFromStatus(429, {}, String((asked.shift() ?? 0) / 1_000));
      return Promise.resolve<Result>(starts.length > 2 ? done : { kind: 'Retry', error });
    });
    queue.add('a');
    await clock.advance(200_000);
    expect(starts.slice(1).map((time, index) => time - (starts[index] ?? 0))).toEqual([30_000, 60_000]);
  });

  it('treats a thrown error as a failure and continues', async () => {
    const worked: string[] = [];
    const { queue, clock } = queueOf((key) => {
      worked.push(key);
      if (key === 'bad' && worked.length < 3) throw new Error('boom');
      return Promise.resolve(done);
    });
    queue.add('bad');
    queue.add('good');
    await clock.advance(1_000);
    expect(worked).toEqual(['bad', 'good', 'bad']);
  });

  it('requests everything again after it had no room', async () => {
    const worked = new Set<string>();
    const keys = Array.from({ length: 50 }, (_, index) => `${index}`);
    const { queue, clock } = queueOf(
      async (key) => {
        await settle();
        worked.add(key);
        return done;
      },
      {
        maximumKeys: 10,
        concurrency: 1,
        resync: () => {
          for (const key of keys) if (!worked.has(key)) queue.add(key);
        },
      },
    );
    for (const key of keys) queue.add(key);
    for (let round = 0; round < 200 && worked.size < keys.length; round += 1) await clock.advance(1);
    expect(worked.size).toBe(keys.length);
  });

  it('uses the earliest of several scheduled times', async () => {
    let runs = 0;
    const { queue, clock } = queueOf(() => {
      runs += 1;
      return Promise.resolve(done);
    });
    queue.addAfter('a', 5_000);
    queue.addAfter('a', 1_000);
    queue.addAfter('a', 9_000);
    await clock.advance(1_000);
    expect(runs).toBe(1);
    await clock.advance(20_000);
    expect(runs).toBe(1);
  });

  it('is drained when all has been worked on, though it pauses between slices of work', async () => {
    let [runs, worked] = [0, 0];
    const manual = new ManualClock();
    const clock: Clock = { now: () => manual.now() + worked, after: (wait, run) => manual.after(wait, run) };
    const work = async () => {
      runs += 1;
      worked += 4;
      return done;
    };
    const { queue } = queueOf(work, { clock });
    await queue.drained();
    for (let each = 0; each < 20; each += 1) queue.add(`vm-${each}`);
    const runsAtEnd = queue.drained().then(() => runs);
    for (let each = 0; each < 20; each += 1) await manual.advance(1);
    expect(await runsAtEnd).toBe(20);
  });

  it('finishes running work when it stops, and starts nothing more', async () => {
    const gate = Promise.withResolvers<void>();
    let stopped = false;
    const { queue } = queueOf(async () => {
      await gate.promise;
      return done;
    });
    queue.add('a');
    const stopping = queue.stop().then(() => {
      stopped = true;
    });
    queue.add('b');
    await settle();
    expect(stopped).toBe(false);
    gate.resolve();
    await stopping;
    expect(queue.depth).toBe(0);
  });

  it('never works on one key twice at the same time, and works on every key after its last change', async () => {
    const step = fc.oneof(
      fc.record({ add: fc.constantFrom('a', 'b', 'c', 'd', 'e') }),
      fc.record({ wait: fc.integer({ min: 1, max: 500 }) }),
    );
    const outcomes = fc.infiniteStream(fc.constantFrom<Result['kind']>('Done', 'Done', 'Retry', 'After'));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), outcomes, async (steps, stream) => {
        const version = new Map<string, number>();
        const seen = new Map<string, number>();
        const busy = new Set<string>();
        const { queue, clock } = queueOf(
          async (key) => {
            expect(busy.has(key)).toBe(false);
            busy.add(key);
            const at = version.get(key) ?? 0;
            await settle();
            busy.delete(key);
            const kind = stream.next().value ?? 'Done';
            if (kind === 'Retry') return { kind, error: 'x' };
            seen.set(key, at);
            return kind === 'After' ? { kind, milliseconds: 100 } : { kind: 'Done' };
          },
          { concurrency: 2 },
        );
        for (const each of steps) {
          if ('add' in each) {
            version.set(each.add, (version.get(each.add) ?? 0) + 1);
            queue.add(each.add);
          } else await clock.advance(each.wait);
        }
        for (let round = 0; round < 100 && [...version].some(([key, at]) => seen.get(key) !== at); round += 1) {
          await clock.advance(10_000);
        }
        expect(seen).toEqual(version);
      }),
      { numRuns: 50 },
    );
  });

  it('serves groups in turn, and the urgent keys of a group first', async () => {
    const served: string[] = [];
    const gate = Promise.withResolvers<void>();
    const urgent = new Set<string>();
    const { queue, clock } = queueOf(
      async (key) => {
        if (key === 'first/0') await gate.promise;
        served.push(key);
        return done;
      },
      { concurrency: 1, groupOf, isUrgent: (key) => urgent.has(key) },
    );
    queue.add('first/0');
    for (let each = 0; each < 40; each += 1) queue.add(`crowd/${each}`);
    queue.add('small/a');
    urgent.add('crowd/38').add('crowd/39');
    queue.add('crowd/38'); // it already waits, and has become urgent
    queue.add('small/b');
    gate.resolve();
    await clock.advance(1);
    expect(served.slice(0, 6)).toEqual(['first/0', 'crowd/38', 'small/a', 'crowd/0', 'small/b', 'crowd/1']);
    expect(served).toHaveLength(43);
  });

  it('keeps a worker for a group that has none, however slow the others are', async () => {
    const begun: string[] = [];
    const never = new Promise<never>(() => {});
    const { queue, clock } = queueOf(
      (key) => {
        begun.push(key);
        return never;
      },
      { concurrency: 16, maximumKeys: 1_000, groupOf },
    );
    for (let each = 0; each < 100; each += 1) queue.add(`slow/${each}`);
    await clock.advance(1);
    expect(begun).toHaveLength(12);
    for (let each = 0; each < 100; each += 1) queue.add(`other/${each}`);
    queue.add('small/a');
    await clock.advance(1);
    expect(begun.at(-1)).toBe('small/a');
    expect(begun.length).toBeLessThanOrEqual(16);
  });

  it('lets no group take all the room, and loses nothing of a group that asks for more', async () => {
    const gate = Promise.withResolvers<void>();
    const worked = new Set<string>();
    const keys = [...Array.from({ length: 300 }, (_, index) => `crowd/${index}`), 'small/a'];
    let overflows = 0;
    const { queue, clock } = queueOf(
      async (key) => {
        await gate.promise;
        worked.add(key);
        return done;
      },
      {
        maximumKeys: 100,
        groupOf,
        observer: { ...silent, overflowed: () => (overflows += 1) },
        resync: () => {
          for (const key of keys) if (!worked.has(key)) queue.add(key);
        },
      },
    );
    for (const key of keys) queue.add(key);
    expect(overflows).toBe(1);
    expect(queue.depth).toBeLessThan(60);
    gate.resolve();
    for (let round = 0; round < 100 && worked.size < keys.length; round += 1) await clock.advance(1);
    expect(worked.size).toBe(keys.length);
  });

  it('works on low-priority keys when nothing else waits, and after 45 s in any case', async () => {
    const explained: [string, number][] = [];
    let flooded = false;
    const flood = async (key: string) => {
      await new Promise<void>((resolve) => clock.after(100, resolve));
      if (flooded) queue.add(key);
      return done;
    };
    const { queue, clock } = queueOf(
      (key, lane) => {
        if (key.startsWith('flood/')) return flood(key);
        if (lane === 'Usual') return Promise.resolve({ kind: 'AtLowPriority' });
        explained.push([key, clock.now()]);
        return Promise.resolve(done);
      },
      { concurrency: 1, groupOf },
    );
    const start = clock.now();
    queue.add('quiet/a');
    await clock.advance(1);
    expect(explained).toEqual([['quiet/a', start]]);
    flooded = true;
    for (let each = 0; each < 5; each += 1) queue.add(`flood/${each}`);
    queue.add('quiet/b');
    queue.add('quiet/b');
    await clock.advance(44_000);
    expect(explained).toHaveLength(1);
    await clock.advance(3_000);
    expect(explained.map(([key]) => key)).toEqual(['quiet/a', 'quiet/b']);
    flooded = false;
    await clock.advance(1_000);
    expect(queue.depth).toBe(0);
  });

  it('forgets a low-priority key when no work is left for it', async () => {
    const lanes: string[] = [];
    let waits = true;
    const { queue, clock } = queueOf(
      async (key, lane) => {
        lanes.push(`${key} ${lane}`);
        if (key === 'busy/0') await new Promise<void>((resolve) => clock.after(1_000, resolve));
        return waits && lane === 'Usual' && key === 'a/a' ? { kind: 'AtLowPriority' } : done;
      },
      { concurrency: 1, groupOf },
    );
    queue.add('a/a');
    queue.add('busy/0');
    waits = false;
    queue.add('a/a');
    await clock.advance(120_000);
    expect(lanes.filter((lane) => lane.startsWith('a/a'))).toEqual(['a/a Usual', 'a/a Usual']);
  });

  it('gives the rest of the process a turn while there is always more work', async () => {
    let now = 0;
    let passes = 0;
    const { queue } = queueOf(
      () => {
        passes += 1;
        now += 1; // each takes a millisecond
        return Promise.resolve(done);
      },
      { clock: { now: () => now, after: () => ({ cancel: () => {} }) }, maximumKeys: 10_000 },
    );
    for (let each = 0; each < 1_000; each += 1) queue.add(`${each}`);
    await settle();
    expect(passes).toBeLessThan(20);
  });
});

const groupOf = (key: string) => key.split('/')[0] ?? '';
