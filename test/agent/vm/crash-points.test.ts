// Kills the agent at every call that it makes to the outside, and proves that the next one ends where an agent that was
// never killed does, with nothing left over. What exists is always known: the journal is written before the effect.
import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { Journal } from '../../../agent/vm/journal.ts';
import type { Assignment } from '../../../protocol/messages.ts';
import { isRunning, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { type CrashPoint, Outside } from '../../support/agent/crash-points.ts';
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

/** Some 600 deaths, all under way at once, each with a host that is a process of its own. */
const patience = 480_000;

interface Death {
  readonly essence: Essence;
  /** On the host at the death of the agent, and not in its journal. */
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
  // The operator says it again to an agent that still knows the VM, and to one that does not.
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

// Each death has a host of its own, and most of its time it waits.
describe.concurrent('an agent that dies at any call', () => {
  it(
    'a VM with a disk that is released',
    async () => {
      const { before, calls } = await callsOfRelease();
      const ofRelease = [...calls.entries()].slice(before);
      expect(ofRelease.length).toBeGreaterThan(5);
      for (const [index, call] of ofRelease) {
        for (const when of ['before', 'after'] as const) {
          const death = await dieOfRelease({ call: index + 1, when });
          expect(death, `${when} call ${index + 1}, ${call}`).toEqual({ unknown: [], left: [] });
        }
      }
      process.stdout.write(`crash points · a VM with a disk that is released: ${ofRelease.length * 2}\n`);
    },
    patience,
  );

  it.each(Object.entries(scenarios))(
    '%s',
    async (name, scenario) => {
      const { calls, undisturbed } = await callsOf(scenario);
      expect(calls.length).toBeGreaterThan(15);
      for (const [index, call] of calls.entries()) {
        for (const when of ['before', 'after'] as const) {
          const death = await dieAndRecover(scenario, { call: index + 1, when }, honestJournal);
          const where = `${when} call ${index + 1}, ${call}`;
          expect(death, where).toEqual({ essence: undisturbed, unknown: [], left: [] });
        }
      }
      process.stdout.write(`crash points · ${name}: ${calls.length * 2}\n`);
    },
    patience,
  );

  it('leaves known that it may have made a change, so that one that is not wanted any more is taken back', async () => {
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
  ])('would be found out if it wrote its journal after the effect: %s, %s', async (name, effect) => {
    const scenario = scenarios[name] ?? { assignments: [], isThere: isRunning };
    const { calls } = await callsOf(scenario);
    const afterEffect = { call: calls.indexOf(effect) + 1, when: 'after' as const };
    const death = await dieAndRecover(scenario, afterEffect, (node) => new LateJournal(honestJournal(node)));
    expect(death.unknown).not.toEqual([]);
  });
});
