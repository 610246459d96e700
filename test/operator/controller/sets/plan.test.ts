import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { budgetOf, parallelOf, partitionOf } from '../../../../sets/amounts.ts';
import { plan } from '../../../../sets/plan.ts';
import { PlannedWorld, type RevisionKind, type Settings, usual } from '../../../support/operator/planned-world.ts';

const restart = { kernelOptions: 'quiet' } as const;
const live = { memoryInMB: 2048 } as const;
const revisionsOf = (world: PlannedWorld) => [...world.machines.values()].map(({ revision }) => revision).join('');
const kinds = (world: PlannedWorld) => world.step().map((action) => action.kind);

describe('what users of such kinds complain of', () => {
  it('a template change restarts all at once: it restarts one after another', () => {
    const world = PlannedWorld.running(5);
    world.roll('b', restart);
    expect(world.step()).toEqual([{ kind: 'Update', name: 'x-4', restart: true }]);
    expect(world.step()).toEqual([]);
    world.bringUp();
    expect(world.step()).toEqual([{ kind: 'Update', name: 'x-3', restart: true }]);
    world.settle();
    expect(revisionsOf(world)).toBe('bbbbb');
    expect(world.violations).toEqual([]);
  });

  it('a broken rollout stays stuck after the correction: the broken VM gets the correction first', () => {
    const world = PlannedWorld.running(3);
    world.roll('b', { ...restart, isBad: true });
    world.settle();
    expect(revisionsOf(world)).toBe('aab');
    world.roll('c', { kernelOptions: 'loglevel=3' });
    expect(world.step()).toEqual([{ kind: 'Update', name: 'x-2', restart: true }]);
    world.settle();
    expect(revisionsOf(world)).toBe('ccc');
    expect(world.violations).toEqual([]);
  });

  it('an undo kills the good one and keeps the bad: only the bad one is changed', () => {
    const world = PlannedWorld.running(3);
    world.roll('b', { ...restart, isBad: true });
    world.settle();
    world.roll('a');
    world.settle();
    expect([...world.machines.values()].map(({ restarts }) => restarts)).toEqual([0, 0, 2]);
    expect(revisionsOf(world)).toBe('aaa');
  });

  it('10 % of 1 is all, or nothing: a share leaves at least one, and never more than it says', () => {
    expect([budgetOf('10%', 1), budgetOf('10%', 19), budgetOf('10%', 20), budgetOf('0%', 9)]).toEqual([1, 1, 2, 1]);
    expect([parallelOf('10%', 1), parallelOf('10%', 11), parallelOf(4, 11)]).toEqual([1, 2, 4]);
    expect([partitionOf('10%', 1), partitionOf('50%', 3), partitionOf(0, 3)]).toEqual([1, 2, 0]);
  });

  it('an in-place change is recreated: a change that a running VM takes costs no availability', () => {
    for (const method of ['LiveOrRestart', 'LiveOnly', 'LiveOrRecreate'] as const) {
      const world = PlannedWorld.running(4, { method });
      world.roll('b', live);
      world.settle();
      expect(revisionsOf(world)).toBe('bbbb');
      expect(world.disruptions).toEqual([]);
    }
    const world = PlannedWorld.running(4);
    const before = [...world.machines.values()].map(({ uid }) => uid);
    world.roll('b', restart);
    world.settle();
    expect([...world.machines.values()].map(({ uid }) => uid)).toEqual(before);
  });

  it('scale-in takes the wrong one: it takes the highest ordinals, and a reserved one on its own', () => {
    const world = PlannedWorld.running(5);
    world.wanted = [0, 1, 2];
    expect(world.step()).toEqual([
      { kind: 'Delete', name: 'x-4', why: 'Unwanted' },
      { kind: 'Delete', name: 'x-3', why: 'Unwanted' },
    ]);
    world.bringUp();
    world.wanted = [0, 2, 3];
    expect(world.step()).toEqual([
      { kind: 'Delete', name: 'x-1', why: 'Unwanted' },
      { kind: 'Create', ordinal: 3, revision: 'a' },
    ]);
  });

  it('a drain is blocked for ever: it takes VMs within the budget, and what is not ready at once', () => {
    const world = PlannedWorld.running(4, { maxUnavailable: 2 });
    world.machine(1).isUp = false;
    for (const machine of world.machines.values()) machine.isToLeave = true;
    expect(world.step().map((action) => 'name' in action && action.name)).toEqual(['x-3', 'x-1']);
    world.settle();
    expect(world.disruptions).toEqual(['x-3', 'x-2', 'x-0']);
    expect(world.violations).toEqual([]);
  });

  it('there is no way to know what is waited for: the plan says so', () => {
    const world = PlannedWorld.running(3);
    world.machine(0).isUp = false;
    world.roll('b', restart);
    world.machine(0).isAway = true;
    world.step();
    expect(world.last?.waitingFor).toBe('the host of x-0 is away');
  });
});

describe('drains', () => {
  const draining = (changes: Partial<RevisionKind>) => {
    const world = PlannedWorld.running(3);
    world.roll('b', { ...restart, ...changes });
    world.machine(0).isToLeave = true;
    return world;
  };

  it('a VM that leaves its host starts elsewhere with the update revision, without another restart', () => {
    const world = draining({});
    expect(world.step()).toEqual([{ kind: 'Evict', name: 'x-0' }]);
    expect(world.step()).toEqual([{ kind: 'Update', name: 'x-0', restart: false }]);
    world.settle();
    expect(revisionsOf(world)).toBe('bbb');
    expect([...world.machines.values()].map(({ restarts }) => restarts)).toEqual([0, 1, 1]);
    expect(world.violations).toEqual([]);
  });

  it('takes no revision along that was not seen to work', () => {
    const world = PlannedWorld.running(3, { maxUnavailable: 2 });
    world.roll('b', { ...restart, isBad: true });
    world.step();
    world.machine(0).isToLeave = true;
    world.settle();
    expect(world.machine(0)).toMatchObject({ revision: 'a', isUp: true, isEvicting: false });
  });

  it('takes no revision along that the partition holds back', () => {
    const world = PlannedWorld.running(3, { partition: 1 });
    world.roll('b', restart);
    world.machine(0).isToLeave = true;
    world.settle();
    expect(revisionsOf(world)).toBe('abb');
  });
});

describe('replacement', () => {
  const failing = (ordinals: readonly number[], settings: Partial<Settings> = {}) => {
    const world = PlannedWorld.running(4, settings);
    for (const ordinal of ordinals) Object.assign(world.machine(ordinal), { isUp: false, isToReplace: true });
    return world;
  };
  const replace = (name: string) => ({ kind: 'Delete', name, why: 'Replace' });

  it('replaces VMs whose start fails, at most maxUnavailable at once', () => {
    const world = failing([0, 1, 2]);
    const uid = world.machine(2).uid;
    expect(world.step()).toEqual([replace('x-2')]);
    expect(world.last?.waitingFor).toBe('x-1 is replaced once fewer VMs are being deleted (spec.maxUnavailable)');
    expect(world.step()).toEqual([]);
    world.settle();
    expect(world.machine(2).uid).not.toBe(uid);
    expect([...world.machines.values()].every(({ isUp }) => isUp)).toBe(true);
    expect(failing([0, 1, 2], { maxUnavailable: 2 }).step()).toEqual([replace('x-2'), replace('x-1')]);
  });

  it('leaves a VM alone whose host is away, that leaves its host, or that gets another revision anyway', () => {
    const away = failing([1]);
    away.machine(1).isAway = true;
    expect(away.step()).toEqual([]);
    const leaving = failing([1]);
    leaving.machine(1).isToLeave = true;
    expect(leaving.step()).toEqual([{ kind: 'Evict', name: 'x-1' }]);
    const changed = failing([1]);
    changed.roll('b', restart);
    expect(changed.step()).toEqual([{ kind: 'Update', name: 'x-1', restart: true }]);
  });
});

describe('updates', () => {
  it('a stuck canary and an upgrade of all agents do not spread the bad revision', () => {
    const world = PlannedWorld.running(6, { maxUnavailable: 1 });
    world.roll('b', { ...restart, isBad: true });
    world.settle();
    for (const machine of world.machines.values()) machine.isUp = false;
    world.step();
    world.step();
    expect([...revisionsOf(world)].filter((revision) => revision === 'b')).toHaveLength(1);
    world.bringUp();
    world.settle();
    expect([...revisionsOf(world)].filter((revision) => revision === 'b')).toHaveLength(1);
  });

  it('LiveOnly writes nothing that needs a restart, and names the VM', () => {
    const world = PlannedWorld.running(2, { method: 'LiveOnly' });
    world.roll('b', restart);
    expect(world.step()).toEqual([]);
    expect(world.last?.refused).toEqual(['x-1', 'x-0']);
  });

  it('LiveOrRecreate makes a new VM, after the old one is gone, also when only the placement changes', () => {
    const world = PlannedWorld.running(2, { method: 'LiveOrRecreate' });
    world.roll('b', { rack: '2' });
    expect(world.step()).toEqual([{ kind: 'Delete', name: 'x-1', why: 'Recreate' }]);
    expect(world.step()).toEqual([]);
    world.bringUp();
    expect(world.step()).toEqual([{ kind: 'Create', ordinal: 1, revision: 'b' }]);
    const restarted = PlannedWorld.running(2);
    restarted.roll('b', { rack: '2' });
    restarted.settle();
    expect(restarted.disruptions).toEqual([]);
  });

  it('a partition, a pause and OnDelete keep VMs as they are, and say what a new VM is made from', () => {
    const parted = PlannedWorld.running(4, { partition: 3 });
    parted.roll('b', restart);
    parted.settle();
    expect(revisionsOf(parted)).toBe('aaab');
    parted.machines.delete(0);
    expect(parted.step()).toEqual([{ kind: 'Create', ordinal: 0, revision: 'a' }]);

    const paused = PlannedWorld.running(2, { paused: true });
    paused.roll('b', restart);
    paused.machines.delete(1);
    expect(paused.step()).toEqual([{ kind: 'Create', ordinal: 1, revision: 'a' }]);

    const onDelete = PlannedWorld.running(2, { type: 'OnDelete' });
    onDelete.roll('b', restart);
    expect(kinds(onDelete)).toEqual([]);
    onDelete.machines.delete(1);
    expect(onDelete.step()).toEqual([{ kind: 'Create', ordinal: 1, revision: 'b' }]);
  });

  it('a change that a host refuses to a running VM is followed by a restart, within the budget', () => {
    const world = PlannedWorld.running(3);
    world.roll('b', live);
    world.settle();
    for (const machine of world.machines.values()) machine.restartRequired = true;
    expect(world.step()).toEqual([{ kind: 'Update', name: 'x-2', restart: true }]);
    world.settle();
    expect(world.disruptions).toEqual(['x-2', 'x-1', 'x-0']);
    expect(world.violations).toEqual([]);
  });

  it('changes so many running VMs at once as maxParallelLive says, and a bad value does not hold up its correction', () => {
    const world = PlannedWorld.running(10, { maxParallelLive: 2 });
    world.roll('b', live);
    expect(world.step()).toHaveLength(2);
    expect(world.step()).toHaveLength(0);
    world.roll('c', { memoryInMB: 4096 });
    expect(world.step()).toHaveLength(2);
    world.settle();
    expect(revisionsOf(world)).toBe('c'.repeat(10));
  });

  it('stopping and starting VMs by the run strategy is spread over the budget', () => {
    const world = PlannedWorld.running(3);
    world.roll('b', { runStrategy: 'Halted' });
    expect(world.step()).toEqual([{ kind: 'Update', name: 'x-2', restart: false }]);
  });

  it('a name that another object has counts as unavailable, and the others go on', () => {
    const world = PlannedWorld.running(3, { maxUnavailable: 2 });
    world.machines.delete(1);
    world.taken.add(1);
    world.roll('b', restart);
    expect(world.step()).toEqual([{ kind: 'Update', name: 'x-2', restart: true }]);
  });

  it('goes on like a StatefulSet where two are not ready: one of three may be away besides them', () => {
    const world = PlannedWorld.running(6, { maxUnavailable: 3 });
    world.machine(0).isUp = false;
    world.machine(1).isUp = false;
    world.roll('b', restart);
    // The lost VM with the higher ordinal is updated too, and costs nothing.
    expect(world.step().map((action) => 'name' in action && action.name)).toEqual(['x-1', 'x-5']);
  });
});

const settings: fc.Arbitrary<Settings> = fc.record({
  type: fc.constantFrom('RollingUpdate', 'OnDelete'),
  method: fc.constantFrom('LiveOrRestart', 'LiveOnly', 'LiveOrRecreate'),
  paused: fc.boolean(),
  partition: fc.nat(4),
  maxParallelLive: fc.integer({ min: 1, max: 4 }),
  maxUnavailable: fc.integer({ min: 1, max: 4 }),
});
const revisionKind = fc.record(
  {
    memoryInMB: fc.constantFrom(1024, 2048),
    kernelOptions: fc.constantFrom('quiet', 'debug'),
    rack: fc.constantFrom('1', '2'),
    isBad: fc.boolean(),
  },
  { requiredKeys: [] },
);
type MishapKind = 'step' | 'up' | 'down' | 'away' | 'back' | 'drain' | 'delete' | 'roll' | 'scale';
interface Mishap {
  readonly kind: MishapKind;
  readonly ordinal: number;
  readonly revision: RevisionKind;
}

const mishapOf = (...kinds: readonly MishapKind[]): fc.Arbitrary<Mishap> =>
  fc.record({ kind: fc.constantFrom(...kinds), ordinal: fc.nat(7), revision: revisionKind });
const mishap = mishapOf('step', 'up', 'down', 'away', 'back', 'drain', 'delete', 'roll', 'scale');

function befall(world: PlannedWorld, each: Mishap, at: number): void {
  const machine = world.machines.get(each.ordinal);
  if (each.kind === 'step') world.step();
  else if (each.kind === 'up') world.bringUp((one) => one === machine);
  else if (each.kind === 'roll') world.roll(`r${at}`, each.revision);
  else if (each.kind === 'scale') world.wanted = Array.from({ length: each.ordinal }, (_, index) => index);
  else if (machine === undefined) return;
  else if (each.kind === 'down') machine.isUp = false;
  else if (each.kind === 'delete') machine.isDeleting = true;
  else if (each.kind === 'drain') machine.isToLeave = true;
  else machine.isAway = each.kind === 'away';
}

describe('whatever happens', () => {
  it('no VM is taken away while as many are unavailable as may be, and the plan comes to rest', () => {
    fc.assert(
      fc.property(settings, fc.nat(8), fc.array(mishap, { maxLength: 40 }), (given, replicas, mishaps) => {
        const world = PlannedWorld.running(replicas, given);
        for (const [at, each] of mishaps.entries()) befall(world, each, at);
        world.settle();
        expect(world.violations).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it('all VMs get a good revision in the end, whatever was bad before', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.array(mishap, { maxLength: 40 }), (maxUnavailable, mishaps) => {
        const world = PlannedWorld.running(6, { maxUnavailable });
        for (const [at, each] of mishaps.entries()) befall(world, each, at);
        for (const machine of world.machines.values()) machine.isAway = false;
        world.roll('good', { kernelOptions: 'good' });
        world.settle();
        const expected = world.wanted.map(() => 'good');
        expect(world.wanted.map((each) => world.machine(each).revision)).toEqual(expected);
        expect(world.unavailable).toBe(0);
        expect(world.violations).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it('not more VMs get a bad revision than may be unavailable', () => {
    const events = fc.array(mishapOf('step', 'up', 'down'), { maxLength: 60 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), events, (maxUnavailable, happened) => {
        const world = PlannedWorld.running(8, { maxUnavailable });
        world.roll('bad', { ...restart, isBad: true });
        for (const [at, each] of happened.entries()) befall(world, each, at);
        world.settle();
        const bad = [...world.machines.values()].filter(({ revision }) => revision === 'bad');
        expect(bad.length).toBeLessThanOrEqual(maxUnavailable);
      }),
      { numRuns: 300 },
    );
  });

  it('the largest set gets no more than its budget in one plan', () => {
    const world = PlannedWorld.running(5_000, { maxUnavailable: 50 });
    world.roll('b', restart);
    expect(world.plan.actions).toHaveLength(50);
  });
});

it('plans without memory: the same input gives the same plan', () => {
  const world = PlannedWorld.running(4, { maxUnavailable: 2 });
  world.roll('b', restart);
  expect(world.plan).toEqual(world.plan);
  expect(
    plan({ ...usual, wanted: [], replicas: [], taken: new Set(), currentRevision: '', updateRevision: '' }),
  ).toEqual({ actions: [], disruptionsAllowed: 1, allowed: new Set(), waitingFor: undefined, refused: [] });
});
