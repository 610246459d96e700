import { expect, test } from 'vitest';
import { machineKind } from '../../../operator/kubernetes/caches.ts';
import { KubeHttp } from '../../../operator/kubernetes/http.ts';
import { parseVirtualMachine, type VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import { Reflector } from '../../../operator/kubernetes/reflector.ts';
import { collectionPath, ResourceClient } from '../../../operator/kubernetes/resource-client.ts';
import { Process } from '../process.ts';
import { World } from '../world.ts';
import { type ApiServerSettings, usualProbabilities } from './faults.ts';
import { SimulatedApiServer } from './server.ts';
import type { Write } from './store.ts';

const [second, minute] = [1_000, 60_000];
const namespace = 'default';
const path = collectionPath(machineKind, namespace);

interface Bed {
  readonly world: World;
  readonly server: SimulatedApiServer;
  readonly writes: Write[];
  readonly injected: Map<string, number>;
  readonly trace: string[];
}

function bed(settings: ApiServerSettings = {}, seed = 1): Bed {
  const [writes, trace]: [Write[], string[]] = [[], []];
  const injected = new Map<string, number>();
  const world = new World({ seed, trace: (line) => trace.push(line) });
  const server = new SimulatedApiServer({
    world,
    settings,
    injected: (kind) => injected.set(kind, (injected.get(kind) ?? 0) + 1),
    onWrite: (write) => writes.push(write),
  });
  return { world, server, writes, injected, trace };
}

/** An operator's client and its cache of the VMs. */
function operatorOf({ world, server }: Bed, name = 'operator', mayWrite = () => true) {
  const process = new Process(world, name);
  const { clock } = process;
  const random = world.chance(`random of ${name}`).number;
  const http = new KubeHttp({ access: server.accessFor(process), clock, random, version: 'test', mayWrite });
  const failures: string[] = [];
  const observer = {
    failed: (_: string, { reason }: { readonly reason: string }) => failures.push(reason),
    listed: () => {},
    unexpected: (_: string, what: string) => failures.push(what),
  };
  const parse = (raw: unknown) => parseVirtualMachine(raw);
  const cache = new Reflector<VirtualMachine>({ http, path, clock, random, parse, observer });
  return { process, http, client: new ResourceClient(http, machineKind), cache, failures };
}

const versionsOf = (
  objects: Iterable<{ readonly metadata: { readonly name: string; readonly resourceVersion: string } }>,
) => [...objects].map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`).sort();

const vm = (name: string) => ({ name, namespace });
const ready = { status: { phase: 'Running' } } as const;

/** A user and an operator write for ten minutes under faults, and have ten minutes to settle. */
async function busyTenMinutes(settings: ApiServerSettings, seed: number) {
  const made = bed(settings, seed);
  const { world, server } = made;
  const operator = operatorOf(made);
  operator.cache.start();
  const chance = world.chance('user');
  const act = () => {
    const name = `vm-${chance.integer(8)}`;
    if (server.users.get('LinuxUtilityVM', vm(name)) === undefined) {
      server.users.create('LinuxUtilityVM', { metadata: vm(name), spec: {} });
    } else if (chance.happens(0.3)) server.users.delete('LinuxUtilityVM', vm(name));
    else server.users.patch('LinuxUtilityVM', vm(name), { metadata: { labels: { a: String(chance.integer(100)) } } });
    if (world.elapsed < 10 * minute) world.after(chance.integer(4 * second), 'user', act);
  };
  world.after(0, 'user', act);
  // Bookmarks tell of versions that others have written, as the Leases of a cluster do.
  const touch = () => {
    server.users.create('ConfigMap', { metadata: { name: `at-${world.elapsed}`, namespace } });
    world.after(30 * second, 'others', touch);
  };
  world.after(0, 'others', touch);
  operator.cache.onChange((change) => {
    if (change.type !== 'Applied' || change.object.status.phase === 'Running') return;
    void operator.client.replaceStatus(change.object, ready.status);
  });
  await world.run(10 * minute);
  server.endFaults();
  await world.run(20 * minute);
  return { ...made, operator };
}

test('a cache that met every fault is as the store is, once the faults are over', async () => {
  const met = new Set<string>();
  const faults = Object.fromEntries(Object.entries(usualProbabilities).map(([fault, usual]) => [fault, 3 * usual]));
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const { server, operator, injected } = await busyTenMinutes({ faults }, seed);
    expect(versionsOf(operator.cache.values())).toEqual(versionsOf(server.contents('LinuxUtilityVM')));
    for (const kind of injected.keys()) met.add(kind);
  }
  expect([...met].sort()).toEqual(
    Object.keys(usualProbabilities)
      .map((fault) => `api: ${fault}`)
      .sort(),
  );
});

test('the same seed gives the same run, and another seed another one', async () => {
  const [one, again, other] = [
    await busyTenMinutes({ faults: usualProbabilities }, 5),
    await busyTenMinutes({ faults: usualProbabilities }, 5),
    await busyTenMinutes({ faults: usualProbabilities }, 6),
  ];
  expect(again.trace).toEqual(one.trace);
  expect(again.writes).toEqual(one.writes);
  expect(other.trace).not.toEqual(one.trace);
});

test('no fault occurs that is not asked for', async () => {
  const { injected, operator } = await busyTenMinutes({}, 7);
  expect([...injected]).toEqual([]);
  expect(operator.failures).toEqual([]);
});

test('a write tells its writer, and what it changed', async () => {
  const made = bed();
  const { world, server, writes } = made;
  const { client, process } = operatorOf(made);
  server.users.create('LinuxUtilityVM', { metadata: vm('a'), spec: {} });
  const read = await running(world, () => client.get(vm('a')));
  if (!read.ok) throw new Error(read.error.message);
  await running(world, () => client.replaceStatus(read.value, ready.status));
  server.users.delete('LinuxUtilityVM', vm('a'));
  expect(writes.map(({ writer, before, after }) => [writer, before?.['status'], after?.['status']])).toEqual([
    ['user', undefined, { observedGeneration: 0 }],
    [process.name, { observedGeneration: 0 }, { phase: 'Running', observedGeneration: 0 }],
    ['user', { phase: 'Running', observedGeneration: 0 }, undefined],
  ]);
});

test('a restore gives versions again, and a cache goes back with it', async () => {
  const made = bed();
  const { world, server } = made;
  const { cache } = operatorOf(made);
  world.after(0, 'test', () => cache.start());
  server.users.create('LinuxUtilityVM', { metadata: vm('before'), spec: {} });
  const backup = server.backUp();
  await world.run(minute);
  server.users.create('LinuxUtilityVM', { metadata: vm('after'), spec: {} });
  await world.run(2 * minute);
  expect(versionsOf(cache.values())).toEqual(['after 1002', 'before 1001']);
  server.restore(backup);
  await world.run(12 * minute);
  server.users.create('LinuxUtilityVM', { metadata: vm('other'), spec: {} });
  await world.run(13 * minute);
  expect(versionsOf(cache.values())).toEqual(['before 1001', 'other 1002']);
});

test('a restarted server refuses the versions that its predecessor knew', async () => {
  const made = bed();
  const { world, server } = made;
  const { cache, failures } = operatorOf(made);
  world.after(0, 'test', () => cache.start());
  await world.run(minute);
  server.users.create('Node', { metadata: { name: 'n' } });
  server.restart();
  server.users.create('LinuxUtilityVM', { metadata: vm('meanwhile'), spec: {} });
  await world.run(3 * minute);
  expect(failures).toContain('Expired');
  expect(versionsOf(cache.values())).toEqual(versionsOf(server.contents('LinuxUtilityVM')));
});

test('a process that is cut off hears nothing, and nobody hears it', async () => {
  const made = bed();
  const { world, server, writes } = made;
  const { cache, client, process } = operatorOf(made);
  world.after(0, 'test', () => cache.start());
  server.users.create('LinuxUtilityVM', { metadata: vm('a'), spec: {} });
  await world.run(minute);
  const [known] = [...cache.values()];
  if (known === undefined) throw new Error('the cache is empty');
  const begun = world.elapsed;
  server.partition(process, true);
  server.users.create('LinuxUtilityVM', { metadata: vm('b'), spec: {} });
  const failed = await running(world, () => client.replaceStatus(known, ready.status));
  expect(failed).toMatchObject({ ok: false, error: { reason: 'ConnectionFailed' } });
  expect(world.elapsed - begun).toBeGreaterThanOrEqual(30 * second);
  expect(writes.map(({ writer }) => writer)).toEqual(['user', 'user']);
  expect([...cache.values()]).toHaveLength(1);
  server.partition(process, false);
  await world.run(world.elapsed + minute);
  expect([...cache.values()]).toHaveLength(2);
});

test('a process that was cut off while the server started again follows it once the network is whole', async () => {
  const made = bed();
  const { world, server } = made;
  const { cache, process } = operatorOf(made);
  world.after(0, 'test', () => cache.start());
  await world.run(20 * second);
  server.partition(process, true);
  server.restart();
  world.after(30 * second, 'test', () => {
    server.users.create('LinuxUtilityVM', { metadata: vm('a'), spec: {} });
    server.partition(process, false);
  });
  await world.run(2 * minute);
  expect(versionsOf(cache.values())).toEqual(versionsOf(server.contents('LinuxUtilityVM')));
  expect([...cache.values()]).toHaveLength(1);
});

test('a request that was not sent in time is fenced, and one of a dead process is never answered', async () => {
  const made = bed({ faults: { 'request waits': 1 } });
  const { world, server, writes } = made;
  let leads = true;
  const { client, process } = operatorOf(made, 'operator', () => leads);
  world.after(1, 'lease', () => {
    leads = false;
  });
  const fenced = await running(world, () => client.create(vm('a'), { metadata: vm('a') }));
  expect(fenced).toMatchObject({ ok: false, error: { reason: 'Fenced' } });
  leads = true;
  let isAnswered = false;
  void client.create(vm('b'), { metadata: vm('b') }).then(() => {
    isAnswered = true;
  });
  await world.run(world.elapsed);
  process.die();
  await world.run(world.elapsed + minute);
  expect([isAnswered, writes.length, server.contents('LinuxUtilityVM').length]).toEqual([false, 0, 0]);
});

test('a write whose connection broke takes effect later, also after the death of its process', async () => {
  const made = bed({ faults: { 'request late': 1 } });
  const { world, server } = made;
  const { client, process } = operatorOf(made);
  const broken = await running(world, () => client.create(vm('a'), { metadata: vm('a'), spec: {} }));
  expect(broken).toMatchObject({ ok: false, error: { reason: 'ConnectionFailed' } });
  process.die();
  expect(server.contents('LinuxUtilityVM')).toEqual([]);
  await world.run(world.elapsed + minute);
  expect(server.contents('LinuxUtilityVM')).toHaveLength(1);
});

test('an object whose owner is gone is deleted, and waits for its finalizers', async () => {
  const { world, server } = bed();
  const { users } = server;
  const owner = users.create('Node', { metadata: { name: 'n' } });
  const uid = owner.ok ? owner.value.metadata.uid : '';
  const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: 'n', uid }];
  users.create('LinuxUtilityVMHost', { metadata: { name: 'n', ownerReferences }, spec: {} });
  users.create('LinuxUtilityVMHost', { metadata: { name: 'm', ownerReferences, finalizers: ['a.b/c'] }, spec: {} });
  await world.run(minute);
  expect(server.contents('LinuxUtilityVMHost')).toHaveLength(2);
  users.delete('Node', { name: 'n' });
  await world.run(2 * minute);
  expect(server.contents('LinuxUtilityVMHost').map(({ metadata }) => metadata.name)).toEqual(['m']);
  users.finalize('LinuxUtilityVMHost', { name: 'm' }, 'a.b/c');
  expect(server.contents('LinuxUtilityVMHost')).toEqual([]);
});

async function running<T>(world: World, work: () => Promise<T>): Promise<T> {
  let isDone = false;
  const done = world
    .delay(0, 'test')
    .then(work)
    .finally(() => {
      isDone = true;
    });
  done.catch(() => {});
  await world.run(world.elapsed + 10 * minute, () => isDone);
  return done;
}
