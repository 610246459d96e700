// Kills the agent at every call that it makes to the outside, and proves that the next one ends where an agent that was
// never killed does, with nothing left over. What exists is always known: the journal is written before the effect.
import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { FileJournal, type Journal } from '../../agent/journal.ts';
import { systemIdOf } from '../../agent/system-id.ts';
import type { Assignment, ObservedVirtualMachine } from '../../protocol/messages.ts';
import { type AgentCore, condition, hasReason, isRunning, startCore } from './agent-core.ts';
import { makeAssignment, someUid as uid } from './assignments.ts';
import { type CrashPoint, Outside } from './crash-points.ts';
import { bootFolder, defaultHost, startNode, type TestNode } from './hcs/simulated-node.ts';
import { until } from './hcs/until.ts';

interface Scenario {
  /** What is assigned, one after the other, each once the one before has come to its end. */
  readonly assignments: readonly Assignment[];
  readonly isThere: (observed: ObservedVirtualMachine) => boolean;
}

const confidential = {
  SecurityPolicy: Buffer.from('package policy').toString('base64'),
  SecurityPolicyEnabled: true,
};

const outlives = { TerminateOnAgentExit: false };
const disk = { name: 'data', path: 'C:\\disks\\data.vhd', readOnly: false };
const otherDisk = { name: 'other', path: 'C:\\disks\\other.vhd', readOnly: false };

const scenarios: Readonly<Record<string, Scenario>> = {
  'a VM that boots': { assignments: [makeAssignment()], isThere: isRunning },
  'a VM that may outlive its agent': {
    assignments: [makeAssignment({ options: { TerminateOnAgentExit: false } })],
    isThere: isRunning,
  },
  'a confidential VM': { assignments: [makeAssignment({ options: confidential })], isThere: isRunning },
  'a VM that is halted': {
    assignments: [makeAssignment(), makeAssignment({ runStrategy: 'Halted', generation: 2 })],
    isThere: hasReason('Halted'),
  },
  'a VM that is restarted on request': {
    assignments: [makeAssignment(), makeAssignment({ restartedAt: 'now', generation: 2 })],
    isThere: (observed) => isRunning(observed) && observed.restartedAt === 'now',
  },
  'a VM that is made anew': {
    assignments: [
      makeAssignment({ updateStrategy: 'Recreate' }),
      makeAssignment({ updateStrategy: 'Recreate', options: { ProcessorCount: 1 }, generation: 2 }),
    ],
    isThere: (observed) => isRunning(observed) && observed.processorCount === 1,
  },
  'a VM that gets more memory': {
    assignments: [makeAssignment(), makeAssignment({ options: { MemorySizeInMB: 2048 }, generation: 2 })],
    isThere: (observed) => isRunning(observed) && observed.memorySizeInMB === 2048,
  },
  'a VM that may outlive its agent and gets other memory and limits': {
    assignments: [
      makeAssignment({ options: outlives }),
      makeAssignment({ options: { ...outlives, MemorySizeInMB: 2048, ProcessorWeight: 200 }, generation: 2 }),
    ],
    isThere: (observed) => isRunning(observed) && observed.memorySizeInMB === 2048,
  },
  'a VM with a disk': { assignments: [makeAssignment({ options: { Disks: [disk] } })], isThere: isRunning },
  'a VM that may outlive its agent and gets another disk for the one that it has': {
    assignments: [
      makeAssignment({ options: { ...outlives, Disks: [disk] } }),
      makeAssignment({ options: { ...outlives, Disks: [otherDisk] }, generation: 2 }),
    ],
    isThere: isRunning,
  },
};

const host = {
  files: {
    ...defaultHost.files,
    [otherDisk.path]: 3000,
    [`${bootFolder}\\kernel.vmgs`]: 4096,
    [`${bootFolder}\\rootfs.vhd`]: 8192,
  },
  isolation: ['SNP' as const],
};

/** What must be equal, however often the agent died on the way: what is said, and what the VM has. */
async function essence(observed: ObservedVirtualMachine, node: TestNode) {
  const { phase, generation, restartedAt } = observed;
  const { optionsDigest, policyDigest, processorCount, memorySizeInMB } = observed;
  // An agent that died early enough has never made a VM that is halted by now.
  const applied = phase === 'Running' && { optionsDigest, policyDigest, processorCount, memorySizeInMB };
  const system = await node.control.system(systemIdOf(uid));
  const has = system && { memoryInMB: system.memoryInMB, disks: system.disks, mounts: system.guest?.mounts };
  return { phase, generation, restartedAt, applied, has, ready: condition(observed, 'Ready') };
}

type Essence = Awaited<ReturnType<typeof essence>>;

async function play(core: AgentCore, { assignments, isThere }: Scenario): Promise<ObservedVirtualMachine> {
  for (const assignment of assignments.slice(0, -1)) {
    await core.supervisor.assign(assignment);
    await core.until(uid, 'running', isRunning);
  }
  const last = assignments.at(-1);
  if (last !== undefined) await core.supervisor.assign(last);
  return core.until(uid, 'there', isThere);
}

/** Staged files, files that our VM may use, and systems of ours on the host, with their disks. */
async function possessions(node: TestNode): Promise<string[]> {
  const files = (await node.control.files()).filter(
    ({ grantedTo, path }) => path.includes(uid) || grantedTo?.includes(systemIdOf(uid)) === true,
  );
  const systems = await node.control.systems();
  return [...files.map(({ path }) => path), ...systems.flatMap(({ disks, id }) => [id, ...placesOf(disks)])];
}

function placesOf(disks: Readonly<Record<string, string>>): string[] {
  return Object.entries(disks).map(([place, path]) => `${path} at ${place}`);
}

/** What is on the host without being in the journal. */
async function unjournaled(node: TestNode): Promise<string[]> {
  const { records } = await honestJournal(node).load();
  const known = records.flatMap((record) => [
    systemIdOf(record.uid),
    ...record.acquired.map(({ path }) => path),
    ...[...record.disks, ...(record.applied?.devices.scsi ?? [])].map(
      ({ controller, lun, path }) => `${path} at ${controller}:${lun}`,
    ),
  ]);
  return (await possessions(node)).filter((each) => !known.some((path) => path.toLowerCase() === each.toLowerCase()));
}

interface Death {
  readonly essence: Essence;
  /** On the host at the death of the agent, and not in its journal. */
  readonly unknown: readonly string[];
  readonly left: readonly string[];
}

type JournalOf = (node: TestNode) => Journal;
const honestJournal: JournalOf = (node) => new FileJournal(`${node.folder}/agent`);

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

const released = makeAssignment({ options: { ...outlives, Disks: [disk] } });

/** Until nothing of the VM is left; `onRunning` is told before the release. */
async function playRelease(core: AgentCore, onRunning: () => void): Promise<void> {
  await core.supervisor.assign(released);
  await core.until(uid, 'running', isRunning);
  onRunning();
  core.supervisor.release(uid);
  await until('removed', () => core.removed.has(uid));
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

describe('an agent that dies at any call', () => {
  it('a VM with a disk that is released', async () => {
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
  }, 120_000);

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
    120_000,
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

/** Says that it has written one write before it has. */
class LateJournal implements Journal {
  readonly #journal: Journal;
  #late: (() => Promise<void>) | undefined;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  load() {
    return this.#journal.load();
  }

  async write(record: Parameters<Journal['write']>[0]): Promise<void> {
    await this.#late?.();
    this.#late = () => this.#journal.write(record);
  }

  remove(of: string): Promise<void> {
    return this.#journal.remove(of);
  }
}
