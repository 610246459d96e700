// One run of the whole system from one seed: a time with faults, in which the invariants have to hold, and a time
// without, in which everything has to become as the manifests ask, and then be still.

import { linuxUtilityVMSpec } from '../../crds/linux-utility-vm-spec.ts';
import { pausedAnnotation } from '../../crds/names.ts';
import { controllerOf } from './api-server/objects.ts';
import type { Write } from './api-server/store.ts';
import { reachReasons } from './coverage.ts';
import { unsettled } from './judges/convergence.ts';
import { tornRecords } from './judges/journals.ts';
import { Judges } from './judges/judges.ts';
import { silentGaps } from './judges/logs.ts';
import { startedTwice } from './judges/processes.ts';
import { lacksRoom } from './judges/room.ts';
import { conditionOf } from './judges/stored-condition.ts';
import { mishapsOf } from './mishaps.ts';
import { completePolicies, policyHistoriesOf } from './policy-histories.ts';
import { type Profile, profileOf } from './profile.ts';
import { completeSets, setHistoriesOf } from './set-histories.ts';
import { SimulatedSystem } from './system/system.ts';
import { annotate, namespace, removeFinalizer, type Step, setNode, workloadOf } from './workload.ts';
import { World } from './world.ts';
import { mending } from './wrong-specs.ts';

const minute = 60_000;
/** The longest time until everything is as it has to be. A VM that failed often waits five minutes. */
const settling = 20 * minute;

export interface RunOptions {
  readonly seed: number;
  /** Kinds of faults and steps that are left out. */
  readonly without?: ReadonlySet<string>;
  /** Numbers of the steps that are left out. */
  readonly skipped?: ReadonlySet<number>;
  readonly trace?: (line: string) => void;
  readonly logs?: boolean;
}

export interface Run {
  readonly profile: Profile;
  readonly steps: readonly Step[];
  readonly counts: ReadonlyMap<string, number>;
  /** What the run came to (`coverage.ts`). */
  readonly reached: ReadonlySet<string>;
  readonly events: number;
  /** Simulated milliseconds. */
  readonly elapsed: number;
  readonly failure: Error | undefined;
}

export async function simulate({
  seed,
  without = new Set(),
  skipped = new Set(),
  trace,
  logs = false,
}: RunOptions): Promise<Run> {
  const counts = new Map<string, number>();
  const count = (kind: string) => void counts.set(kind, (counts.get(kind) ?? 0) + 1);
  let lastWrite = { at: 0, text: '' };
  const world: World = new World({ seed, ...(trace && { trace }), judge: () => judges.judge() });
  const profile = profileOf(world, without);
  const hasApiFaults = profile.kinds.has('API server faults');
  const judges: Judges = new Judges({ world, system: () => system, hasApiFaults });
  const system: SimulatedSystem = new SimulatedSystem({
    world,
    profile,
    logs,
    injected: count,
    messages: judges,
    onWrite: (write) => {
      world.note(`${write.writer} writes ${write.kind} ${(write.after ?? write.before)?.metadata.name}`);
      if (!isUsual(write) && !(hasApiFaults && isAboutRoom(system, write)))
        lastWrite = {
          at: world.elapsed,
          text: `${write.writer} wrote ${write.kind} ${(write.after ?? write.before)?.metadata.name}`,
        };
      reachReasons(world, write);
      judges.wrote(write);
    },
  });
  const hosts = system.machines.map(({ name }) => name);
  const { safety, still } = profile.spans;
  const steps = [
    ...workloadOf(world, profile, hosts),
    ...policyHistoriesOf(world, profile.spans),
    ...setHistoriesOf(world, profile, hosts),
    ...mishapsOf(world, profile, hosts),
  ];
  const finished = (failure: unknown): Run => ({
    profile,
    steps,
    counts,
    reached: world.reached,
    events: world.events,
    elapsed: world.elapsed,
    failure: failure === undefined || failure instanceof Error ? failure : new Error(String(failure)),
  });
  try {
    system.start();
    steps.forEach((step, index) => {
      if (skipped.has(index) || without.has(step.kind) || step.at > safety) return;
      world.after(step.at, `step ${index}`, () => {
        world.note(step.text);
        count(step.kind);
        step.run(system);
      });
    });
    await world.run(safety);
    calm(system);
    await settle(world, system);
    const stillFrom = world.elapsed;
    await world.run(stillFrom + still);
    if (lastWrite.at > stillFrom + minute) throw new Error(`nothing changes, and ${lastWrite.text}`);
    const torn = profile.diskFaults.failing === undefined ? tornRecords(system) : [];
    if (torn.length > 0) throw new Error(`a record was torn: ${torn.join('; ')}`);
    const gaps = profile.diskFaults.lossy === true ? [] : silentGaps(system);
    if (gaps.length > 0) throw new Error(`lines of a log were lost: ${gaps.join('; ')}`);
    const twice = startedTwice(system);
    if (twice.length > 0) throw new Error(`a process was started twice: ${twice.join('; ')}`);
    // An agent that cannot read its state folder is begun again.
    const ended = system.machines.flatMap(({ name, unexplainedEnds }) =>
      unexplainedEnds.filter((why) => !/^(EIO|ENOSPC)\b/.test(why)).map((why) => `${name}: ${why}`),
    );
    if (ended.length > 0) throw new Error(`an agent ended by itself: ${ended.join('; ')}`);
    return finished(undefined);
  } catch (error) {
    return finished(error ?? new Error('unknown'));
  } finally {
    for (const { process } of [...system.operators, ...system.machines]) process?.die();
  }
}

/**
 * The agents' sessions are renewed, and each has an epoch. A set that waits for a host that is away says after a while that
 * it makes no progress.
 */
function isUsual({ after, kind }: Write): boolean {
  if (kind === 'Lease' || kind === 'LinuxUtilityVMHost') return true;
  const late = 'ProgressDeadlineExceeded';
  return after !== undefined && (after['reason'] === late || conditionOf(after, 'Stalled')?.['reason'] === late);
}

/**
 * A VM that waits for room says why no host has any. While a watch is silent, an operator says what was true before: it
 * gives the watch up after minutes.
 */
function isAboutRoom(system: SimulatedSystem, { after, kind }: Write): boolean {
  return kind === 'LinuxUtilityVM' && after !== undefined && lacksRoom(system, after);
}

async function settle(world: World, system: SimulatedSystem): Promise<void> {
  const until = world.elapsed + settling;
  for (;;) {
    await world.run(world.elapsed + 10_000);
    const problems = unsettled(system);
    if (problems.length === 0) return;
    if (world.elapsed >= until)
      throw new Error(`not as it has to be after ${settling / minute} minutes:\n${problems.join('\n')}`);
  }
}

/** Ends all faults, and takes back what administrators and users left half done. */
function calm(system: SimulatedSystem): void {
  const { api, machines, network, operators, world } = system;
  world.note('nothing goes wrong from now on');
  network.settings = { latency: 10 };
  api.endFaults();
  for (const operator of operators) {
    operator.skew = 0;
    operator.process?.resume();
    operator.start();
  }
  for (const machine of machines) {
    machine.skew = 0;
    network.cut(machine.name, false);
    machine.host.calm();
    machine.disk.settings = {};
    machine.startAgent();
    setNode(system, machine.name, { unschedulable: null, taints: null });
  }
  completePolicies(system);
  completeSets(system);
  for (const object of api.users.list('LinuxUtilityVM')) {
    const { metadata, spec } = object;
    if (metadata.namespace !== namespace) continue;
    annotate(system, metadata.name, pausedAnnotation, null);
    removeFinalizer(system, metadata.name);
    if (metadata.deletionTimestamp === undefined && controllerOf(object) === undefined) {
      api.users.patch('LinuxUtilityVM', metadata, { spec: mending(metadata.name, linuxUtilityVMSpec.parse(spec)) });
    }
  }
}
