// Sets, once nothing goes wrong any more: they have the VMs that they ask for and no others, those that may have the
// template have it, and the status counts what is there (docs/sets.md).
import { ordinalLabel, revisionLabel } from '../../../crds/names.ts';
import { isObject } from '../../../crds/structural.ts';
import { sameJson } from '../../../runtime/same-json.ts';
import type { StoredObject } from '../api-server/objects.ts';
import type { SimulatedSystem } from '../system/system.ts';
import { isPresent } from './presence.ts';
import { templateOf } from './revisions.ts';
import { isLabelled, meaningOf, membersOf, rulesOf, type SetRules, setOf } from './set-rules.ts';
import { conditionOf } from './stored-condition.ts';

type Members = Readonly<Record<string, unknown>>;

/** What is not as it has to be, a line each. `isExcused`: the VM cannot run now, and holds its set up. */
export function setProblems(system: SimulatedSystem, isExcused: (object: StoredObject) => boolean): readonly string[] {
  const machines = system.api.users.list('LinuxUtilityVM');
  return system.api.users.list('LinuxUtilityVMSet').flatMap((set) => {
    const { deletionTimestamp, name, uid } = set.metadata;
    if (deletionTimestamp !== undefined) return [`${name} is still being deleted`];
    const members = machines.filter((machine) => setOf(machine)?.uid === uid);
    const rules = rulesOf(set);
    const extra = members.filter((machine) => !rules.wanted.includes(machine.metadata.name) && !isExcused(machine));
    const strangers = extra.map(({ metadata }) => `${metadata.name} is not wanted by ${name}`);
    // Also by one that has a wanted name, and is none of the set's.
    const isNamed = ({ metadata }: StoredObject) => rules.wanted.includes(metadata.name);
    const isHeldUp = machines.some((each) => (isNamed(each) || members.includes(each)) && isExcused(each));
    if (strangers.length > 0 || isHeldUp) return strangers;
    return problemsOf(system, set, rules, members).map((problem) => `${name} ${problem}: ${why(set)}`);
  });
}

function problemsOf(
  system: SimulatedSystem,
  set: StoredObject,
  rules: SetRules,
  members: readonly StoredObject[],
): readonly string[] {
  const missing = rules.wanted.filter((name) => !members.some(({ metadata }) => metadata.name === name));
  if (missing.length > 0) return [`lacks ${missing.join(', ')}`];
  const status = membersOf(set['status']);
  if (status['observedGeneration'] !== set.metadata.generation) return ['has a status of an older generation'];
  const late = members.filter(
    (machine) => rules.allowed.has(machine.metadata.name) && !isAsTemplate(system, set, machine),
  );
  const isRefused = rules.method === 'LiveOnly' && conditionOf(set, 'Ready')?.['reason'] === 'LiveChangeRefused';
  if (isRefused && late.length > 0) return countProblems(status, members);
  if (late.length > 0) return [`has not updated ${late.map(({ metadata }) => metadata.name).join(', ')}`];
  const isReady = conditionOf(set, 'Ready')?.['status'] === 'True';
  const isOpen = ['Reconciling', 'Stalled'].some((type) => conditionOf(set, type)?.['status'] === 'True');
  return [...(isReady && !isOpen ? [] : ['is not ready']), ...countProblems(status, members)];
}

/** The VM has the revision of the present template, and all that the template names. */
function isAsTemplate({ api }: SimulatedSystem, set: StoredObject, machine: StoredObject): boolean {
  const { metadata, spec } = machine;
  const { labels = {} } = metadata;
  const revision = api.users.get('ControllerRevision', {
    namespace: metadata.namespace,
    name: labels[revisionLabel] ?? '',
  });
  const wanted = meaningOf(membersOf(set['spec'])['template']);
  if (revision === undefined || !sameJson(meaningOf(templateOf(revision)), wanted)) return false;
  const text = JSON.stringify(wanted['spec'])
    .replaceAll('$(name)', metadata.name)
    .replaceAll('$(ordinal)', labels[ordinalLabel] ?? '');
  if (conditionOf(machine, 'RestartRequired')?.['status'] === 'True') return false;
  return has(spec, JSON.parse(text)) && has(labels, wanted['labels']) && isLabelled(machine, set.metadata.name);
}

/** `value` has all members of `wanted`, and may have others. */
function has(value: unknown, wanted: unknown): boolean {
  if (!isObject(wanted)) return sameJson(value, wanted);
  return isObject(value) && Object.entries(wanted).every(([name, each]) => has(value[name], each));
}

function countProblems(status: Members, members: readonly StoredObject[]): readonly string[] {
  const present = members.filter(isPresent).length;
  const counts = { replicas: members.length, readyReplicas: present, availableReplicas: present };
  return Object.entries(counts).flatMap(([name, count]) =>
    status[name] === count ? [] : [`has ${count} ${name}, and its status says ${status[name]}`],
  );
}

function why(set: StoredObject): string {
  const ready = conditionOf(set, 'Ready');
  return `${ready?.['reason']}: ${ready?.['message']}`;
}
