import { expect, test } from 'vitest';
import { chanceOf } from './chance.ts';
import { type Fate, Fates } from './fates.ts';
import { Process } from './process.ts';
import { World } from './world.ts';

const minute = 60_000;

test('events happen in the order of their times, and the clock shows each time', async () => {
  const world = new World({ seed: 1 });
  const clock = world.clock('a');
  const begun = clock.now();
  const seen: number[] = [];
  for (const milliseconds of [30, 10, 20, 10, 0]) clock.after(milliseconds, () => seen.push(clock.now() - begun));
  await world.run(minute);
  expect(seen).toEqual([0, 10, 10, 20, 30]);
});

test('promises that an event settles run before the next event of the same time', async () => {
  const world = new World({ seed: 1 });
  const clock = world.clock('a');
  const seen: string[] = [];
  for (const name of ['one', 'two']) {
    clock.after(5, async () => {
      seen.push(`${name} begins`);
      for (let step = 0; step < 100; step += 1) await Promise.resolve();
      seen.push(`${name} ends`);
    });
  }
  await world.run(minute);
  expect(seen.map((line) => line.split(' ')[1])).toEqual(['begins', 'ends', 'begins', 'ends']);
});

test('a seed decides the order of events of the same time', async () => {
  const orderOf = async (seed: number) => {
    const world = new World({ seed });
    const seen: string[] = [];
    for (const source of 'abcdefgh') world.after(5, source, () => seen.push(source));
    await world.run(minute);
    return seen.join('');
  };
  expect(await orderOf(7)).toBe(await orderOf(7));
  expect(new Set(await Promise.all([1, 2, 3, 4].map(orderOf))).size).toBeGreaterThan(1);
});

test('a draw depends only on its source and its number', () => {
  const [alone, beside, other] = [chanceOf(3, 'disk'), chanceOf(3, 'disk'), chanceOf(3, 'network')];
  const drawn = Array.from({ length: 20 }, () => {
    other.number();
    return beside.number();
  });
  expect(Array.from({ length: 20 }, () => alone.number())).toEqual(drawn);
  expect(drawn.every((number) => number >= 0 && number < 1)).toBe(true);
  expect(new Set(drawn).size).toBe(20);
});

test('a dead process has no effect, and its attempts are counted', async () => {
  const answered: boolean[] = [];
  for (let seed = 1; seed <= 20; seed += 1) {
    const world = new World({ seed });
    const process = new Process(world, 'agent');
    const effects: string[] = [];
    const call = (name: string) =>
      process.call(
        'write',
        'disk',
        () => 10,
        () => effects.push(name),
      );
    let isAnswered = false;
    void call('before').then(() => {
      isAnswered = true;
    });
    process.clock.after(100, () => effects.push('timer'));
    world.after(15, 'killer', () => process.die());
    await world.run(minute);
    void call('after');
    await world.run(2 * minute);
    expect(effects).toEqual(['before']);
    expect(process.touchedAfterDeath).toBe(1);
    answered.push(isAnswered);
  }
  // The effect may have happened without its answer.
  expect(new Set(answered)).toEqual(new Set([true, false]));
});

test('a reported failure ends the run', async () => {
  const world = new World({ seed: 1 });
  world.after(1, 'a', () => world.fail(new Error('broken')));
  await expect(world.run(minute)).rejects.toThrow('broken');
});

test.each(['before', 'after'] as const)('a process whose fate it is dies %s the effect of a call', async (moment) => {
  const world = new World({ seed: 1 });
  const effects: string[] = [];
  const fate: Fate = {
    at: (operation) => (operation === 'rename' ? moment : undefined),
    strike: () => process.die(),
  };
  const process: Process = new Process(world, 'agent', undefined, fate);
  const call = (operation: string) =>
    process.call(
      operation,
      'disk',
      () => 10,
      () => effects.push(operation),
    );
  void call('write')
    .then(() => call('rename'))
    .then(() => call('remove'));
  await world.run(minute);
  expect(effects).toEqual(moment === 'before' ? ['write'] : ['write', 'rename']);
  expect(world.reached).toContain(`crash ${moment} rename`);
  expect(process.touchedAfterDeath).toBe(0);
});

test('calls that are made often are hardly met more often than rare ones', () => {
  const struck = { often: 0, rare: 0 };
  for (let seed = 1; seed <= 2_000; seed += 1) {
    const fate = new Fates(new World({ seed }), minute).fate(() => {});
    for (let call = 0; call < 100; call += 1) if (fate.at('often') !== undefined) struck.often += 1;
    if (fate.at('rare') !== undefined) struck.rare += 1;
  }
  expect(struck.rare).toBeGreaterThan(20);
  expect(struck.often / struck.rare).toBeLessThan(12);
});
