// A LinuxUtilityVMSet beside the real StatefulSet controller: with the same settings and the same replicas that become
// ready and unready, both restart their replicas in the same steps.
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type ControlPlane, startControlPlane } from '../../../support/control-plane/control-plane.ts';
import { installCustomResources } from '../../../support/control-plane/custom-resources.ts';
import { OperatorFixture, type RunningOperator, until } from '../../../support/operator/fixture.ts';
import {
  MachineSetWorkload,
  type RolledWorkload,
  type Settings,
  type Snapshot,
  StatefulSetWorkload,
  startUnready,
} from '../../../support/operator/rolled-workload.ts';
import { ScriptedAgent, someHost } from '../../../support/operator/scripted-agent.ts';

let controlPlane: ControlPlane;
let fixture: OperatorFixture;
let running: RunningOperator | undefined;
const agent = new ScriptedAgent();

beforeAll(async () => {
  controlPlane = await startControlPlane();
  await installCustomResources(controlPlane);
  fixture = new OperatorFixture(controlPlane.kubeconfigPath);
}, 120_000);

beforeEach(async () => {
  if (running !== undefined) return;
  running = await fixture.start();
  await fixture.createNode('one');
  agent.onAssign = (assignment) => startUnready(agent, assignment);
  await agent.connect(running.agents, 'one', someHost);
  await until(() => agent.receivedOf('desired').some(({ last }) => last));
});

afterAll(async () => {
  await running?.operator.stop();
  if (agent.isOpen) await agent.disconnect();
  await controlPlane?.stop();
});

const replicas = 6;
const settings = (maxUnavailable: number, partition = 0): Settings => ({ replicas, maxUnavailable, partition });

/** With all replicas, of which those of the ordinals in `unready` have never been ready. */
async function begin(workload: RolledWorkload, given: Settings, unready: readonly number[] = []): Promise<void> {
  await workload.create(given);
  await workload.settled();
  for (let ordinal = 0; ordinal < replicas; ordinal += 1) {
    if (!unready.includes(ordinal)) await workload.setReady(ordinal, true);
  }
}

/** The states between which the replicas become ready, one after another, the one with the highest ordinal first. */
async function statesOf(workload: RolledWorkload): Promise<readonly Snapshot[]> {
  await workload.restart();
  const states = [await workload.settled()];
  for (;;) {
    const ordinal = lastUnready(states.at(-1));
    if (ordinal === undefined) return states;
    await workload.setReady(ordinal, true);
    states.push(await workload.settled());
  }
}

function lastUnready(state: Snapshot | undefined): number | undefined {
  const ordinals = [...(state?.replicas ?? '')].flatMap((letter, ordinal) => (/[ab]/.test(letter) ? [ordinal] : []));
  return ordinals.at(-1);
}

/** Does the same with both. */
async function both<T>(name: string, what: (workload: RolledWorkload) => Promise<T>): Promise<{ sets: T; pods: T }> {
  const [sets, pods] = await Promise.all([
    what(new MachineSetWorkload(fixture, name, agent)),
    what(new StatefulSetWorkload(fixture, name)),
  ]);
  return { sets, pods };
}

/** The settings, and the ordinals of the replicas that have never been ready. */
const restarts: Readonly<Record<string, readonly [Settings, readonly number[]]>> = {
  'one-by-one': [settings(1), []],
  'two-by-two': [settings(2), []],
  'above-a-partition': [settings(2, 3), []],
  'one-by-one-beside-two': [settings(1), [1, 4]],
  'two-by-two-beside-two': [settings(2), [1, 4]],
  'three-by-three-beside-two': [settings(3), [1, 4]],
  'above-a-partition-beside-two': [settings(3, 3), [1, 4]],
};

it('a restart of all has the steps of a StatefulSet, also with two replicas that never were ready', {
  timeout: 300_000,
}, async () => {
  const made = Object.entries(restarts).map(async ([name, [given, unready]]) => {
    const { sets, pods } = await both(name, async (workload) => {
      await begin(workload, given, unready);
      return statesOf(workload);
    });
    expect(sets, name).toEqual(pods);
    expect(sets.at(-1), name).toMatchObject({ available: replicas, updated: replicas - given.partition });
  });
  await Promise.all(made);
});

it('replicas that were ready and are not wait for one another, and count like those of a StatefulSet', async () => {
  const { sets, pods } = await both('lost', async (workload) => {
    await begin(workload, settings(3));
    for (const ordinal of [1, 4]) await workload.setReady(ordinal, false);
    return statesOf(workload);
  });
  expect(pods[0]).toEqual({ available: 3, updated: 3, replicas: 'AbAAbb' });
  expect(sets[0]).toEqual({ available: 3, updated: 2, replicas: 'AaAAbb' });
  for (const { available } of sets) expect(available).toBeGreaterThanOrEqual(replicas - 3);
  expect(sets.at(-1)).toEqual(pods.at(-1));
});

it('a revision that does not come up is given to no more replicas than may be unavailable, unlike by a StatefulSet', async () => {
  const { sets, pods } = await both('stuck', async (workload) => {
    await begin(workload, settings(1));
    await workload.restart();
    const stuck = await workload.settled();
    for (const ordinal of [0, 2]) await workload.setReady(ordinal, false);
    return [stuck, await workload.settled()] as const;
  });
  expect(sets[0]).toEqual({ available: 5, updated: 1, replicas: 'AAAAAb' });
  expect(pods[0]).toEqual(sets[0]);
  expect(pods[1]).toEqual({ available: 3, updated: 3, replicas: 'bAbAAb' });
  expect(sets[1]).toEqual({ available: 3, updated: 1, replicas: 'aAaAAb' });
});
