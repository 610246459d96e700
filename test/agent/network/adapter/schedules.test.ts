import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { AdapterGoal } from '../../../../agent/network/adapter/turns.ts';
import { endpointPolicies, identityOf, ownerOf } from '../../../../agent/network/endpoint-document.ts';
import { AdapterWorld, type Fault, network, uid } from '../../../support/agent/adapter-world.ts';

const foreign = ['0a1b2c3d-0000-4000-8000-000000000001', '0a1b2c3d-0000-4000-8000-000000000002'];
const { id } = identityOf({ uid, name: 'eth0' });
const ports = [
  [],
  [{ protocol: 'TCP', port: 80, hostPort: 8080 }],
  [{ protocol: 'TCP', port: 80, hostPort: 8081 }],
] as const;

type Happening =
  | { readonly do: 'step' | 'compare' | 'restartHns' | 'endRun' | 'startRun' | 'minute' }
  | { readonly do: 'want'; readonly goal: AdapterGoal; readonly ports: 0 | 1 | 2 }
  | { readonly do: 'foreign'; readonly which: 0 | 1 }
  | { readonly do: 'fault'; readonly fault: Fault };

const codes = [0x803b_0001, 0x803b_0002, 0x8007_0490, 0x8007_06ba, 0x803b_0014, 0x803b_002f, 0x803b_000d, 0x8000_4005];
const fault: fc.Arbitrary<Fault> = fc.record({
  line: fc.nat({ max: 5 }),
  when: fc.constantFrom('before' as const, 'after' as const),
  kind: fc.oneof(fc.constant('death' as const), fc.constantFrom(...codes)),
});
const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 12, arbitrary: fc.constant<Happening>({ do: 'step' }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'compare' as const,
        'restartHns' as const,
        'endRun' as const,
        'startRun' as const,
        'minute' as const,
      ),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('fault' as const), fault }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('want' as const),
      goal: fc.constantFrom('attached' as const, 'attached' as const, 'kept' as const),
      ports: fc.constantFrom(0 as const, 1 as const, 2 as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('foreign' as const), which: fc.constantFrom(0 as const, 1 as const) }),
  },
);

class Schedule {
  readonly world = new AdapterWorld();
  /** Those that HNS has to have. */
  readonly others = new Set<string>();

  async happen(happens: Happening): Promise<void> {
    const { world } = this;
    switch (happens.do) {
      case 'restartHns':
        this.others.clear();
        return world.hns.restart();
      case 'minute':
        world.now += 60_000;
        return;
      case 'want':
        world.goal = happens.goal;
        world.wish = { ...world.wish, ports: ports[happens.ports] };
        return;
      case 'foreign': {
        const other = foreign[happens.which] ?? '';
        await world.addForeign(other, `172.20.200.${happens.which + 1}`);
        this.others.add(other);
        return;
      }
      case 'fault':
        return world.plan(happens.fault);
      default:
        await world[happens.do]();
    }
  }

  /** Puts the adapter in, then releases it, with nothing going wrong. */
  async end(): Promise<void> {
    const { world } = this;
    await world.startRun();
    world.goal = 'attached';
    await world.settle();
    // What was marked as attached elsewhere waits for the end of the VM, and a lost endpoint for the comparison.
    if (world.journal?.state === 'attaching') {
      await world.endRun();
      await world.startRun();
    }
    await world.settle();
    await world.compare();
    await world.settle();
    expect(world.journal).toMatchObject({ state: 'configured', endpointId: id, interface: 'eth0' });
    expect([[...world.inHost], [...world.inGuest]].map((each) => each.length)).toEqual([1, 1]);
    expect(await this.#policies()).toEqual(endpointPolicies(world.wish));
    await world.endRun();
    world.goal = 'released';
    await world.settle();
    expect(world.journal?.state).toBe('gone');
  }

  async #policies(): Promise<readonly unknown[]> {
    return endpointProperties.parse(JSON.parse(await this.world.hns.readEndpoint(id))).Policies;
  }
}

const endpointProperties = z.object({ Policies: z.array(z.unknown()) });

async function play(happenings: readonly Happening[]): Promise<Schedule> {
  const schedule = new Schedule();
  for (const each of happenings) await schedule.happen(each);
  await schedule.end();
  const { others, world } = schedule;
  expect([...(await world.endpoints())].sort()).toEqual([...others].sort());
  expect(world.illegal).toEqual([]);
  expect(world.places.size).toBe(1);
  return schedule;
}

async function taken(world: AdapterWorld, steps: number): Promise<void> {
  for (let each = 0; each < steps; each += 1) await world.step();
}

describe('an adapter, whatever happens to its agent, HNS and the VM', () => {
  it('is put in with one id, MAC address and address, and leaves nothing of its own and all of others', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(happening, { maxLength: 60 }), async (happenings) => void (await play(happenings))),
      { numRuns: 200 },
    );
  });

  it('survives a death of the agent at each line, before and after the effect', async () => {
    const { lines } = (await play([])).world;
    const deaths = lines.flatMap((_, line) => [
      { line, when: 'before', kind: 'death' } as const,
      { line, when: 'after', kind: 'death' } as const,
    ]);
    for (const fault of deaths) {
      const steps = Array.from({ length: 30 }, (): Happening => ({ do: 'step' }));
      await play([{ do: 'fault', fault }, ...steps]);
    }
  });

  it.each(Array.from({ length: 12 }, (_, steps) => steps))(
    'leaves nothing when it is released after %i steps, with a death at any line of the release',
    async (steps) => {
      for (let line = 0; line < 8; line += 1) {
        const world = new AdapterWorld();
        await taken(world, steps);
        world.goal = 'released';
        world.plan({ line, when: 'after', kind: 'death' });
        await taken(world, 12);
        await world.settle();
        expect([world.journal?.state, await world.endpoints()]).toEqual(['gone', []]);
        expect([world.inHost.size, world.inGuest.size]).toEqual([0, 0]);
      }
    },
  );

  it('knows its own by name and id', async () => {
    const world = new AdapterWorld();
    await world.settle();
    const told = JSON.parse(await world.hns.readEndpoint(id));
    expect(ownerOf({ id: told.ID, name: told.Name })).toEqual({ uid, name: 'eth0' });
    expect(ownerOf({ id: foreign[0] ?? '', name: told.Name })).toBeUndefined();
    expect(told.HostComputeNetwork.toLowerCase()).toBe(network);
  });
});
