// Kills the agent at its calls to the outside, and proves that the next agent reaches the same end state as one that
// was never killed, with nothing left over. Everything that exists is known, because the journal is written before each
// effect. A normal run takes a sample with each kind of call; `npm run test:crash-points` takes every call.
import { readdir } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Journal } from '../../../agent/vm/journal.ts';
import type { Assignment } from '../../../protocol/messages.ts';
import { isRunning, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { type CrashPoint, Outside } from '../../support/agent/crash-points.ts';
import { crashSeed, oneOfEach, randomFrom, sampleOf, takesAll } from '../../support/agent/crash-sample.ts';
import {
  type Essence,
  essence,
  host,
  journalIn,
  LateJournal,
  outlives,
  play,
  playRelease,
  possessions,
  type Scenario,
  scenarios,
  unjournaled,
} from '../../support/agent/crash-scenarios.ts';
import { startNode, type TestNode } from '../../support/agent/simulated-node.ts';
import { until } from '../../support/until.ts';

/** All crash points are about 600 deaths. The courses run at the same time, and each death has its own host. */
const patience = takesAll ? 900_000 : 120_000;
/** How many points of each course a sample has, in addition to those that are the only ones of their kind. */
const perCourse = 2;

interface Death {
  readonly essence: Essence;
  /** What existed on the host when the agent died, and was not in its journal. */
  readonly unknown: readonly string[];
  readonly left: readonly string[];
}

type JournalOf = (node: TestNode) => Journal;
const honestJournal: JournalOf = journalIn;

/** `wanted` is assigned to the second agent. */
async function dieAndRecover(
  scenario: Scenario,
  point: CrashPoint,
  journalOf: JournalOf,
  wanted: Assignment = scenario.assignments.at(-1) ?? makeAssignment(),
): Promise<Death> {
  await using node = await startNode(host);
  const outside = new Outside(point);
  const first = await startCore(node, { outside, journal: journalOf(node), recovers: false });
  const played = first.supervisor.recover().then(() => play(first, scenario));
  played.catch(() => undefined);
  await Promise.race([outside.died, played]);
  await outside.bury();
  await first.vanish();
  const unknown = await unjournaled(node);
  await until('run-down', async () => (await node.control.systems()).every(({ handles }) => handles === 0));
  await using second = await startCore(node);
  await second.supervisor.assign(wanted);
  const reached = await essence(await second.until(uid, 'there', scenario.isThere), node);
  second.supervisor.release(uid);
  await until('removed', () => second.removed.has(uid));
  return {
    essence: reached,
    unknown,
    left: [...(await possessions(node)), ...(await readdir(`${node.folder}/agent/vms`))],
  };
}

async function callsOf(scenario: Scenario): Promise<{ calls: readonly string[]; undisturbed: Essence }> {
  await using node = await startNode(host);
  const outside = new Outside(undefined);
  await using core = await startCore(node, { outside });
  const undisturbed = await essence(await play(core, scenario), node);
  return { calls: [...outside.calls], undisturbed };
}

async function dieOfRelease(point: CrashPoint): Promise<Omit<Death, 'essence'>> {
  await using node = await startNode(host);
  const outside = new Outside(point);
  const first = await startCore(node, { outside, recovers: false });
  const played = first.supervisor.recover().then(() => playRelease(first, () => undefined));
  played.catch(() => undefined);
  await Promise.race([outside.died, played]);
  await outside.bury();
  await first.vanish();
  const unknown = await unjournaled(node);
  await using second = await startCore(node);
  // The operator repeats the release to an agent that still knows the VM, and to one that does not.
  second.supervisor.release(uid);
  await until('removed', () => second.removed.has(uid));
  return { unknown, left: [...(await possessions(node)), ...(await readdir(`${node.folder}/agent/vms`))] };
}

async function callsOfRelease(): Promise<{ calls: readonly string[]; before: number }> {
  await using node = await startNode(host);
  const outside = new Outside(undefined);
  await using core = await startCore(node, { outside });
  let before = 0;
  await playRelease(core, () => {
    before = outside.calls.length;
  });
  return { calls: outside.calls, before };
}

interface Course {
  readonly name: string;
  readonly points: readonly NamedPoint[];
  /** Resolves only if nothing is wrong afterwards. */
  die(point: NamedPoint): Promise<void>;
}

interface NamedPoint extends CrashPoint {
  readonly name: string;
}

const bothSides = (call: number, name: string): readonly NamedPoint[] => [
  { call, name, when: 'before' },
  { call, name, when: 'after' },
];
const kindOf = ({ name, when }: NamedPoint) => `${when} ${name}`;
const show = ({ call, name, when }: NamedPoint) => `${when} call ${call}, ${name}, seed ${crashSeed}`;

async function courseOf(name: string, scenario: Scenario): Promise<Course> {
  const { calls, undisturbed } = await callsOf(scenario);
  return {
    name,
    points: calls.flatMap((call, index) => bothSides(index + 1, call)),
    async die(point) {
      const death = await dieAndRecover(scenario, point, honestJournal);
      expect(death, show(point)).toEqual({ essence: undisturbed, unknown: [], left: [] });
    },
  };
}

const releases = 'a VM with a disk that is released';

async function courseOfRelease(): Promise<Course> {
  const { before, calls } = await callsOfRelease();
  return {
    name: releases,
    points: calls.flatMap((call, index) => (index < before ? [] : bothSides(index + 1, call))),
    async die(point) {
      expect(await dieOfRelease(point), show(point)).toEqual({ unknown: [], left: [] });
    },
  };
}

let courses: readonly Course[];
/** The points of each course that this run takes. */
let taken: readonly { readonly course: Course; readonly points: ReadonlySet<NamedPoint> }[];

beforeAll(async () => {
  const ofScenarios = Object.entries(scenarios).map(([name, scenario]) => courseOf(name, scenario));
  courses = await Promise.all([courseOfRelease(), ...ofScenarios]);
  const random = randomFrom(crashSeed);
  const ofEachKind = new Set(
    oneOfEach(
      courses.flatMap(({ points }) => points),
      kindOf,
      random,
    ),
  );
  taken = courses.map((course) => {
    const kinds = course.points.filter((point) => ofEachKind.has(point));
    const others = sampleOf(course.points, perCourse, random);
    return { course, points: new Set(takesAll ? course.points : [...kinds, ...others]) };
  });
});

// Each death has its own host, and mostly waits.
describe.concurrent('an agent that dies', () => {
  it('dies at every kind of call, and a sample stays small', () => {
    for (const { points } of courses) expect(points.length).toBeGreaterThan(10);
    const points = taken.flatMap(({ points }) => [...points]);
    const kinds = new Set(courses.flatMap((course) => course.points).map(kindOf));
    expect(kinds.size).toBeGreaterThan(30);
    expect(new Set(points.map(kindOf))).toEqual(kinds);
    if (!takesAll) expect(points.length).toBeLessThan(kinds.size + perCourse * courses.length + 1);
  });

  it.each([releases, ...Object.keys(scenarios)])(
    '%s',
    async (name) => {
      const found = taken.find(({ course }) => course.name === name);
      const { course, points } = found ?? expect.fail(`no course is called ${name}`);
      for (const point of points) await course.die(point);
      process.stdout.write(`crash points · ${name}: ${points.size} of ${course.points.length}, seed ${crashSeed}\n`);
    },
    patience,
  );

  it('records that it may have made a change, so that a change that is no longer wanted is undone', async () => {
    const outliving = makeAssignment({ options: outlives });
    const more = makeAssignment({ options: { ...outlives, MemorySizeInMB: 2048 }, generation: 2 });
    const { calls } = await callsOf({
      assignments: [outliving, more],
      isThere: (observed) => isRunning(observed) && observed.memorySizeInMB === 2048,
    });
    const death = await dieAndRecover(
      { assignments: [outliving, more], isThere: (observed) => isRunning(observed) && observed.generation === 3 },
      { call: calls.indexOf('modify') + 1, when: 'after' },
      honestJournal,
      { ...outliving, generation: 3 },
    );
    expect(death.essence).toMatchObject({ applied: { memorySizeInMB: 1024 }, has: { memoryInMB: 1024 } });
  });

  it.each([
    ['a confidential VM', 'copyFile'],
    ['a VM with a disk', 'grantVmAccess'],
    ['a VM with a disk', 'modify'],
  ])('would fail this test if it wrote its journal after the effect: %s, %s', async (name, effect) => {
    const scenario = scenarios[name] ?? { assignments: [], isThere: isRunning };
    const { calls } = await callsOf(scenario);
    const afterEffect = { call: calls.indexOf(effect) + 1, when: 'after' as const };
    const death = await dieAndRecover(scenario, afterEffect, (node) => new LateJournal(honestJournal(node)));
    expect(death.unknown).not.toEqual([]);
  });
});
