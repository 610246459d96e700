import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { replacedOnAnnotation, setLabel } from '../../../crds/linux-utility-vm.ts';
import { Inventory } from '../../../operator/controller/knowledge/inventory.ts';
import { Restoration } from '../../../operator/controller/knowledge/restoration.ts';
import { VirtualMachines } from '../../../operator/controller/knowledge/virtual-machines.ts';
import { Evictions } from '../../../operator/controller/placement/evictions.ts';
import { Fleet } from '../../../operator/controller/placement/fleet.ts';
import type { MachineSet } from '../../../operator/kubernetes/objects.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { makeHost, makeMachine, makeNode, makeSet } from '../../support/operator/objects.ts';

const zone = 'topology.kubernetes.io/zone';
const overZones = (whenUnsatisfiable: string, maxSkew = 1) => ({ topologyKey: zone, maxSkew, whenUnsatisfiable });

/** Hosts by name, with their zones; the VMs `web-0`, `web-1`, … belong to a set. */
class Spreading {
  readonly hosts = new Map<string, ReturnType<typeof makeHost>>();
  readonly nodes = new Map<string, ReturnType<typeof makeNode>>();
  readonly machines = new VirtualMachines();
  readonly inventory: Inventory;
  readonly fleet: Fleet;
  #made = 0;

  constructor(zones: Readonly<Record<string, string | undefined>>, constraints: readonly object[]) {
    const clock = new ManualClock();
    const inventory = new Inventory(clock);
    this.inventory = inventory;
    for (const [name, value] of Object.entries(zones)) {
      this.hosts.set(name, makeHost(name));
      this.nodes.set(name, makeNode(name, value === undefined ? {} : { labels: { [zone]: value } }));
      inventory.begin(name, [], true);
      inventory.settle(name);
    }
    const set = makeSet('web', { spec: { topologySpreadConstraints: constraints } });
    const sets = new Map<string, MachineSet>([['default/web', set]]);
    const { hosts, nodes, machines } = this;
    const evictions = new Evictions(nodes, inventory, clock);
    this.fleet = new Fleet({ hosts, nodes, sets, machines, inventory, evictions, restoration: new Restoration(clock) });
  }

  /** Makes a VM and places it. Its placement is assumed until the next one is made. */
  place(annotations: Readonly<Record<string, string>> = {}) {
    const name = `web-${this.#made}`;
    this.#made += 1;
    const metadata = { uid: name, name, labels: { [setLabel]: 'web' }, annotations };
    const object = makeMachine({ metadata });
    this.#observe(object);
    if (!object.spec.ok) throw new Error(object.spec.message);
    const placement = this.fleet.assume(name, object.spec.value);
    if (placement.placed) {
      this.#observe({ ...object, status: { nodeName: placement.nodeName } });
      this.fleet.settle(name);
    }
    return placement.placed ? placement.nodeName : placement.message;
  }

  #observe(object: ReturnType<typeof makeMachine>): void {
    this.machines.observe({ type: 'Applied', key: `default/${object.metadata.name}`, object, previous: undefined });
  }
}

describe('a set that spreads its VMs', () => {
  it('over zones prefers the zone with fewer of them, then the host with more room', () => {
    const bed = new Spreading({ a1: 'a', a2: 'a', b1: 'b' }, [overZones('ScheduleAnyway')]);
    expect([bed.place(), bed.place(), bed.place(), bed.place()]).toEqual(['a1', 'b1', 'a2', 'b1']);
  });

  it('counts the first constraint most', () => {
    const hostname = { topologyKey: 'kubernetes.io/hostname', maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' };
    const bed = new Spreading({ a1: 'a', a2: 'a', b1: 'b' }, [hostname, overZones('ScheduleAnyway')]);
    expect([bed.place(), bed.place(), bed.place()].sort()).toEqual(['a1', 'a2', 'b1']);
  });

  it('with DoNotSchedule waits rather than being out of balance, and goes on once it is not', () => {
    const bed = new Spreading({ a1: 'a', b1: 'b' }, [overZones('DoNotSchedule')]);
    bed.hosts.set('b1', makeHost('b1', {}, { unschedulable: true }));
    expect(bed.place()).toBe('a1');
    const crowded = '1 host unschedulable, 1 too many VMs of the set in one topology.kubernetes.io/zone';
    expect(bed.place()).toContain(`0/2 hosts fit: ${crowded}`);
    bed.hosts.set('b1', makeHost('b1'));
    bed.fleet.roomMayHaveComeUp();
    expect([bed.place(), bed.place()].sort()).toEqual(['a1', 'b1']);
  });

  it('waits for a host that is away, and not for one that has no Node any more', () => {
    const overHosts = { topologyKey: 'kubernetes.io/hostname', maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule' };
    const bed = new Spreading({ here: undefined, away: undefined }, [overHosts]);
    bed.inventory.end('away');
    expect([bed.place(), bed.place()]).toEqual(['here', expect.stringContaining('too many VMs of the set')]);
    bed.nodes.delete('away');
    bed.fleet.roomMayHaveComeUp();
    expect(bed.place()).toBe('here');
  });

  it('allows as much difference as maxSkew says', () => {
    const bed = new Spreading({ a1: 'a', b1: 'b' }, [overZones('DoNotSchedule', 2)]);
    bed.hosts.set('b1', makeHost('b1', {}, { unschedulable: true }));
    expect([bed.place(), bed.place()]).toEqual(['a1', 'a1']);
    expect(bed.place()).toContain('too many VMs of the set');
  });

  it('with DoNotSchedule leaves hosts without the label out, and otherwise takes them last', () => {
    const strict = new Spreading({ none: undefined }, [overZones('DoNotSchedule')]);
    expect(strict.place()).toContain('no label topology.kubernetes.io/zone, which the set spreads over');
    const loose = new Spreading({ a1: 'a', none: undefined }, [overZones('ScheduleAnyway')]);
    expect([loose.place(), loose.place()]).toEqual(['a1', 'a1']);
  });

  it('without constraints looks at room only', () => {
    const bed = new Spreading({ a: 'a', b: 'b' }, []);
    bed.hosts.set('b', makeHost('b', { memoryInMB: 16_384 }));
    expect([bed.place(), bed.place(), bed.place()]).toEqual(['a', 'b', 'a']);
  });

  it('is never out of balance by more than maxSkew, whatever the hosts are', () => {
    const zones = fc.dictionary(fc.constantFrom('n1', 'n2', 'n3', 'n4', 'n5'), fc.constantFrom('a', 'b', 'c'));
    fc.assert(
      fc.property(zones, fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 12 }), (hosts, skew, count) => {
        const bed = new Spreading(hosts, [overZones('DoNotSchedule', skew)]);
        const found = new Map(Object.values(hosts).map((value) => [value, 0]));
        for (let made = 0; made < count; made += 1) {
          const value = hosts[bed.place()];
          if (value !== undefined) found.set(value, (found.get(value) ?? 0) + 1);
          const counts = [...found.values()];
          expect(counts.length === 0 || Math.max(...counts) - Math.min(...counts) <= skew).toBe(true);
        }
      }),
    );
  });
});

it('a VM that replaces one whose start failed goes to the former host only if there is no other', () => {
  const bed = new Spreading({ a: 'a', b: 'b' }, []);
  const failedOn = (nodeName: string) => ({ [replacedOnAnnotation]: nodeName });
  expect([bed.place(failedOn('a')), bed.place(failedOn('b'))]).toEqual(['b', 'a']);
  expect(new Spreading({ a: 'a' }, []).place(failedOn('a'))).toBe('a');
});
