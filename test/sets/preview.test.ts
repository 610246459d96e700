// What users are shown before a rollout is what the plan then does.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { preview } from '../../sets/preview.ts';
import { PlannedWorld, type RevisionKind } from '../support/operator/planned-world.ts';

const shown = (world: PlannedWorld) =>
  preview('x', world.input).steps.map(({ isBounded, kind, names }) => [kind, isBounded, ...names]);

describe('the preview of a rollout', () => {
  it.each<[string, RevisionKind, string]>([
    ['a live change', { memoryInMB: 2048 }, 'Live'],
    ['a restart', { kernelOptions: 'quiet' }, 'Restart'],
    ['a stop', { runStrategy: 'Halted' }, 'Switch'],
  ])('of %s goes down by the ordinals', (_, kind, step) => {
    const world = PlannedWorld.running(3);
    world.roll('b', kind);
    expect(shown(world)).toEqual([[step, true, 'x-2', 'x-1', 'x-0']]);
  });

  it('says which VMs are made, deleted and replaced by new ones', () => {
    const world = PlannedWorld.running(3, { method: 'LiveOrRecreate' });
    world.roll('b', { rack: '1' });
    world.wanted = [0, 1, 7];
    expect(shown(world)).toEqual([
      ['Delete', false, 'x-2'],
      ['Create', false, 'x-7'],
      ['Recreate', true, 'x-1', 'x-0'],
    ]);
  });

  it('takes VMs that are not available first, and those that were ready one after another', () => {
    const world = PlannedWorld.running(5);
    world.machine(1).isUp = false;
    world.machine(2).isUp = false;
    Object.assign(world.machine(0), { isUp: false, readyRevision: undefined });
    world.roll('b', { kernelOptions: 'quiet' });
    expect(shown(world)).toEqual([
      ['Restart', false, 'x-0', 'x-2'],
      ['Restart', true, 'x-4', 'x-3'],
      ['Restart', false, 'x-1'],
    ]);
  });

  it('leaves out the VMs that partition, pause and type keep', () => {
    for (const settings of [{ partition: 2 }, { paused: true }, { type: 'OnDelete' as const }]) {
      const world = PlannedWorld.running(3, settings);
      world.roll('b', { kernelOptions: 'quiet' });
      expect(preview('x', world.input).steps.flatMap(({ names }) => names)).toEqual(
        'partition' in settings ? ['x-2'] : [],
      );
    }
  });

  it('names what is refused, and what has to wait', () => {
    const refusing = PlannedWorld.running(2, { method: 'LiveOnly' });
    refusing.roll('b', { kernelOptions: 'quiet' });
    expect(preview('x', refusing.input)).toEqual({ steps: [], refused: ['x-1', 'x-0'], waiting: [] });
    const away = PlannedWorld.running(2);
    away.machine(1).isAway = true;
    away.roll('b', { kernelOptions: 'quiet' });
    expect(preview('x', away.input)).toMatchObject({ steps: [{ names: ['x-0'] }], waiting: ['x-1'] });
  });

  it('is the order in which a set takes its VMs away, whatever its budget', () => {
    const kind = fc.constantFrom<RevisionKind>({ kernelOptions: 'quiet' }, { rack: '1' }, { memoryInMB: 2048 });
    const method = fc.constantFrom('LiveOrRestart' as const, 'LiveOrRecreate' as const);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 4 }),
        kind,
        method,
        (count, budget, ...change) => {
          const [revision, how] = change;
          const world = PlannedWorld.running(count, { maxUnavailable: budget, method: how });
          world.roll('b', revision);
          const { steps } = preview('x', world.input);
          world.settle();
          const taken = steps.filter((step) => step.kind === 'Restart' || step.kind === 'Recreate');
          expect(world.disruptions).toEqual(taken.flatMap(({ names }) => names));
          expect(world.violations).toEqual([]);
        },
      ),
    );
  });

  it('of the largest set takes no longer than a user waits', () => {
    const world = PlannedWorld.running(5_000);
    world.roll('b', { kernelOptions: 'quiet' });
    expect(preview('x', world.input).steps).toMatchObject([{ kind: 'Restart', names: { length: 5_000 } }]);
  });
});
