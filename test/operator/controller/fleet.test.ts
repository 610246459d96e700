// Which hosts can have a VM whose status names no host, and which agents are believed when they report it.
import { beforeEach, describe, expect, it } from 'vitest';
import {
  type LinuxUtilityVMManifestSpec,
  type LinuxUtilityVMStatus,
  setLabel,
} from '../../../crds/linux-utility-vm.ts';
import { readReport } from '../../../operator/agents/report-reading.ts';
import { Inventory } from '../../../operator/controller/knowledge/inventory.ts';
import { Restoration } from '../../../operator/controller/knowledge/restoration.ts';
import { VirtualMachines } from '../../../operator/controller/knowledge/virtual-machines.ts';
import { Evictions } from '../../../operator/controller/placement/evictions.ts';
import { Fleet } from '../../../operator/controller/placement/fleet.ts';
import type { Host, Node } from '../../../operator/kubernetes/objects.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { makeHost, makeMachine, makeNode, someUid, unreadableSpec } from '../../support/operator/objects.ts';

const at = (minute: number) => `2026-01-01T00:${String(minute).padStart(2, '0')}:00Z`;

/** `othersEndedBy`: when every earlier operator had ended. */
function fleet(othersEndedBy?: number) {
  const clock = new ManualClock();
  const inventory = new Inventory(clock);
  const hosts = new Map<string, Host>();
  const nodes = new Map<string, Node>();
  const restoration = new Restoration(clock);
  const machines = new VirtualMachines();
  const evictions = new Evictions(nodes, inventory, clock);
  for (const name of ['away', 'here']) {
    hosts.set(name, makeHost(name));
    nodes.set(name, makeNode(name));
  }
  const connect = (name: string) => {
    inventory.begin(name, [], true);
    inventory.settle(name);
  };
  connect('here');
  const subject = new Fleet({
    hosts,
    nodes,
    sets: new Map(),
    inventory,
    machines,
    evictions,
    restoration,
    othersEndedBy,
  });
  return { inventory, hosts, machines, nodes, restoration, connect, fleet: subject };
}

let bed: ReturnType<typeof fleet>;
beforeEach(() => {
  bed = fleet();
});

const machine = (status: LinuxUtilityVMStatus = {}, created = at(10), spec: LinuxUtilityVMManifestSpec = {}) =>
  makeMachine({ status, spec, metadata: { creationTimestamp: created } });
const mayHave = (object = machine(), isNew = false) => bed.fleet.hostsThatMayHave(object, isNew);
const endedAt = (minute: number) =>
  bed.hosts.set('away', makeHost('away', { session: { epoch: 3, endedAt: at(minute) } }));

describe('a host that is away', () => {
  it('can have a VM without a stored status, unless this operator saw the creation of the VM', () => {
    expect(mayHave()).toEqual(['away']);
    expect(mayHave(machine(), true)).toEqual([]);
  });

  it('cannot have a VM whose status was written without a host', () => {
    expect(mayHave(machine({ observedGeneration: 1, phase: 'Pending' }))).toEqual([]);
    expect(mayHave(machine({ observedGeneration: 0 }))).toEqual(['away']);
    expect(mayHave(machine({ phase: 'Pending' }))).toEqual(['away']);
  });

  it("cannot have a VM that was created after the host's last session had ended", () => {
    endedAt(9);
    expect(mayHave()).toEqual([]);
    expect(mayHave(machine({}, at(9)))).toEqual(['away']);
    expect(mayHave(machine({}, 'no time'))).toEqual(['away']);
    bed.hosts.set('away', makeHost('away', { session: { epoch: 3, endedAt: 'no time' } }));
    expect(mayHave()).toEqual(['away']);
  });

  it('cannot have a VM that was created after every earlier operator had ended', () => {
    bed = fleet(Date.parse(at(9)));
    expect(mayHave()).toEqual([]);
    expect(mayHave(machine({}, at(9)))).toEqual(['away']);
    expect(mayHave(machine({}, 'no time'))).toEqual(['away']);
    bed.restoration.seen({ 'lcow.dev/restored': at(20) });
    expect(mayHave()).toEqual(['away']);
    expect(mayHave(machine({}, at(21)))).toEqual([]);
  });

  it('can have a VM of the last kind once it is back and has not listed its VMs', () => {
    endedAt(9);
    bed.inventory.begin('away', [], false);
    expect(mayHave()).toEqual(['away']);
    bed.connect('away');
    expect(mayHave()).toEqual([]);
  });

  it('cannot have any VM while its Node is out of service', () => {
    const taints = [{ key: 'node.kubernetes.io/out-of-service', effect: 'NoExecute' }];
    bed.nodes.set('away', makeNode('away', { spec: { taints } }));
    expect(mayHave()).toEqual([]);
  });
});

describe('once the cluster may have been restored', () => {
  const proven = machine({ observedGeneration: 1 });
  beforeEach(() => bed.restoration.seen({ 'lcow.dev/restored': at(20) }));

  it('no stored fact proves anything', () => {
    endedAt(9);
    expect(mayHave(proven)).toEqual(['away']);
    expect(mayHave(machine(), true)).toEqual(['away']);
  });

  it('a VM that was created later was not restored', () => {
    expect(mayHave(machine({ observedGeneration: 1 }, at(21)))).toEqual([]);
    expect(mayHave(machine({}, at(21)))).toEqual(['away']);
  });

  it('stored facts count again once every host has listed its VMs, or is off', () => {
    bed.connect('away');
    expect(mayHave(proven)).toEqual([]);
    expect(bed.restoration.pending).toBeUndefined();
    bed.inventory.end('away');
    expect(mayHave(proven)).toEqual([]);
  });
});

describe('a host that reports a VM without a host', () => {
  const snp = { confidential: { securityPolicy: 'eA==' } };
  const claim = (spec: LinuxUtilityVMManifestSpec, status: LinuxUtilityVMStatus = {}) =>
    bed.fleet.claim('here', machine(status, at(10), spec));

  it('is believed if the VM can be there', () => {
    expect(claim({})).toEqual({ kind: 'Accepted' });
    expect(claim({ nodeName: 'here', memory: { sizeInMB: 2 ** 40 } })).toEqual({ kind: 'Accepted' });
  });

  it('is not believed if the tenant does not want the VM there', () => {
    expect(claim({ nodeName: 'away' })).toEqual({ kind: 'Refused', why: 'spec.nodeName is away' });
    expect(claim({ nodeSelector: { rack: '1' } })).toEqual({ kind: 'Refused', why: 'nodeSelector not matched' });
    expect(claim(snp)).toEqual({ kind: 'Refused', why: 'no SNP isolation' });
    bed.nodes.set('here', makeNode('here', { spec: { taints: [{ key: 'gpu', effect: 'NoSchedule' }] } }));
    expect(claim({})).toEqual({ kind: 'Refused', why: 'untolerated taint gpu:NoSchedule' });
  });

  it('is believed, whatever has changed since, if the VM was last placed there', () => {
    expect(claim({ ...snp, nodeSelector: { rack: '1' } }, { lastNodeName: 'here' })).toEqual({ kind: 'Accepted' });
    expect(claim(snp, { lastNodeName: 'away' }).kind).toBe('Refused');
  });

  it('is neither believed nor told to remove the VM while its Node or the spec cannot be read', () => {
    const unreadable = { ...machine(), spec: unreadableSpec() } as const;
    expect(bed.fleet.claim('here', unreadable)).toEqual({ kind: 'Undecided' });
    bed.nodes.delete('here');
    expect(claim(snp)).toEqual({ kind: 'Undecided' });
    expect(bed.fleet.claim('here', machine({}, at(10), snp), makeNode('here')).kind).toBe('Refused');
    expect(mayHave().includes('here')).toBe(false);
    bed.inventory.begin('here', [readReport({ uid: someUid })], true);
    bed.inventory.settle('here');
    expect(mayHave()).toEqual(['away', 'here']);
  });
});

it('a start is checked with the filters of a first placement, on the host that has the VM', () => {
  const spec = (manifest: LinuxUtilityVMManifestSpec) => {
    const parsed = makeMachine({ spec: manifest }).spec;
    if (!parsed.ok) throw new Error(parsed.message);
    return parsed.value;
  };
  const half = spec({ memory: { sizeInMB: 40_000 } });
  expect(bed.fleet.assumeOn('here', 'one', half)).toEqual({ placed: true, nodeName: 'here' });
  expect(bed.fleet.assumeOn('here', 'two', half)).toMatchObject({ placed: false, reason: 'NoRoom' });
  bed.fleet.settle('one');
  expect(bed.fleet.assumeOn('here', 'two', half)).toMatchObject({ placed: true });
  bed.fleet.settle('two');
  bed.nodes.set('here', makeNode('here', { spec: { unschedulable: true } }));
  expect(bed.fleet.assumeOn('here', 'two', half)).toMatchObject({
    reason: 'NoHostFits',
    message: 'it is to start on here: node cordoned',
  });
  expect(bed.fleet.couldPlaceBeside('here', 'two', half)).toBe(false);
  bed.connect('away');
  bed.fleet.roomMayHaveComeUp(); // as its session says
  expect(bed.fleet.couldPlaceBeside('here', 'two', half)).toBe(true);
});

it('the VMs of a set are spread over the hosts, counting those whose placement is still being written', () => {
  bed.connect('away');
  const member = (ordinal: number, nodeName?: string, set = 'web') =>
    makeMachine({
      metadata: { uid: `${set}-${ordinal}`, name: `${set}-${ordinal}`, labels: { [setLabel]: set } },
      status: nodeName === undefined ? {} : { nodeName },
    });
  const observe = (object: ReturnType<typeof member>) =>
    bed.machines.observe({ type: 'Applied', key: `default/${object.metadata.name}`, object, previous: undefined });
  const spec = machine().spec;
  if (!spec.ok) throw new Error(spec.message);
  // The other host has more room, and one VM of another set.
  for (const object of [
    member(0, 'here'),
    member(0, 'away', 'db'),
    member(1),
    member(2),
    member(3),
    member(1, undefined, 'db'),
  ])
    observe(object);
  const placed = (uid: string) => bed.fleet.assume(uid, spec.value);
  expect(placed('web-1')).toEqual({ placed: true, nodeName: 'away' });
  expect(placed('db-1')).toEqual({ placed: true, nodeName: 'here' });
  const [second, third] = [placed('web-2'), placed('web-3')];
  expect([second, third].map((each) => each.placed && each.nodeName).sort()).toEqual(['away', 'here']);
});
