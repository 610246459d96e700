// What users do with the ConfigMaps of policies: they create, change, delete and re-create them, and take keys out,
// before the VMs that refer to them exist, while these run, and later. Each ConfigMap has a history of its own.
import { isObject } from '../../crds/structural.ts';
import { policyKeys, policyMaps, policyText } from './policies.ts';
import { type Spans, timesOf } from './profile.ts';
import type { SimulatedSystem } from './system/system.ts';
import { namespace, type Step } from './workload.ts';
import type { World } from './world.ts';

const minute = 60_000;

export function policyHistoriesOf(world: World, spans: Spans): readonly Step[] {
  return policyMaps.flatMap((name) => historyOf(world, name, spans));
}

type Happening = readonly [at: number, kind: string, run: Step['run']];

function historyOf(world: World, name: string, { creation, safety }: Spans): readonly Step[] {
  const chance = world.chance(`history of ${name}`);
  const created = chance.integer(creation);
  const create: Happening = [created, 'create policies', (system) => put(system, name, 'of the beginning')];
  const rest = timesOf(chance, { from: created, until: safety, mean: 1.5 * minute }).flatMap((at) => {
    const [kind, key] = [chance.pick(['change', 'delete', 'delete', 'take out'] as const), chance.pick(policyKeys)];
    const later = at + chance.integer(2 * minute);
    const version = chance.happens(0.5) ? 'of the beginning' : `of ${at}`;
    const back: Happening = [later, 'put policies back', (system) => put(system, name, version)];
    const happenings: Readonly<Record<typeof kind, readonly Happening[]>> = {
      change: [[at, 'change policies', (system) => put(system, name, `of ${at}`)]],
      delete: [[at, 'delete policies', ({ api }) => void api.users.delete('ConfigMap', { namespace, name })], back],
      'take out': [[at, 'take policy out', (system) => patch(system, name, { [key]: null })], back],
    };
    return happenings[kind];
  });
  return [create, ...rest].map(([at, kind, run]) => ({ at, kind, text: `${kind} ${name}`, run }));
}

/** Puts back what is missing. */
export function completePolicies(system: SimulatedSystem): void {
  for (const name of policyMaps) {
    const data = system.api.users.get('ConfigMap', { namespace, name })?.['data'];
    if (!isObject(data) || policyKeys.some((key) => data[key] === undefined)) put(system, name, 'of the end');
  }
}

function put(system: SimulatedSystem, name: string, version: string): void {
  const data = Object.fromEntries(policyKeys.map((key) => [key, policyText(`${key} ${version}`)]));
  const { users } = system.api;
  if (users.get('ConfigMap', { namespace, name }) !== undefined) patch(system, name, data);
  else users.create('ConfigMap', { metadata: { name, namespace }, data });
}

function patch(system: SimulatedSystem, name: string, data: Readonly<Record<string, string | null>>): void {
  const { users } = system.api;
  const object = { namespace, name };
  if (users.get('ConfigMap', object) !== undefined) users.patch('ConfigMap', object, { data });
}
