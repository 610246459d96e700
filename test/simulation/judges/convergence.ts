// What has to be true once nothing goes wrong any more: every VM is as its manifest asks, and nothing is left of those
// that were deleted.
import { isObject } from '../../../crds/structural.ts';
import type { StoredObject } from '../api-server/objects.ts';
import type { SimulatedSystem } from '../system/system.ts';
import { policyProblems } from './policies.ts';
import { lacksRoom } from './room.ts';
import { setProblems } from './sets.ts';
import { leftOfRuns } from './staged-files.ts';

/** What is not as it has to be, a line each. A VM of a machine that is off has to wait until the machine's Node is removed. */
export function unsettled(system: SimulatedSystem): readonly string[] {
  const objects = system.api.users.list('LinuxUtilityVM');
  const living = new Map<string, Running>();
  for (const { host, name } of system.machines) {
    for (const { uid, state } of host.living()) if (uid !== undefined) living.set(uid, { node: name, state });
  }
  const uids = new Set(objects.map(({ metadata }) => metadata.uid));
  const strays = [...living]
    .filter(([uid]) => !uids.has(uid))
    .map(([uid, { node }]) => `${uid} runs on ${node}, and has no object`);
  const off = system.machines.filter(({ isOff }) => isOff).map(({ name }) => name);
  const { users } = system.api;
  const away = off.filter((name) => users.get('Node', { name }) !== undefined);
  // A status says that nothing is known only once its host has been away for a minute.
  const isExcused = ({ spec, status }: StoredObject) => {
    const isAway = isObject(status) && away.some((name) => name === status['nodeName']);
    if (isAway) return status['phase'] === 'Unknown';
    if (isObject(status) && awaitsInventory(status, away)) return true;
    return isObject(spec) && off.some((name) => name === spec['nodeName']);
  };
  return [
    ...objects
      .filter((object) => !isExcused(object))
      .flatMap((object) => problemOf(object, living.get(object.metadata.uid), () => lacksRoom(system, object)) ?? []),
    ...strays,
    ...system.machines.flatMap(({ host, name }) =>
      host.lostForeign().map((id) => `${name} ended ${id} of another program`),
    ),
    ...policyProblems(system),
    ...setProblems(system, (object) => isExcused(object) || lacksRoom(system, object)),
    ...leftOfRuns(system),
    ...leftFiles(system, uids),
  ];
}

/** Whether the VM may run on one of these hosts already. Only somebody who knows of the host can say that it does not. */
function awaitsInventory(status: Members, hosts: readonly string[]): boolean {
  const ready = conditionOf(status, 'Ready');
  return ready?.['reason'] === 'InventoryPending' && hosts.some((name) => String(ready['message']).includes(name));
}

interface Running {
  readonly node: string;
  readonly state: string;
}

function problemOf(
  { metadata, spec, status }: StoredObject,
  running: Running | undefined,
  hasNoRoom: () => boolean,
): string | undefined {
  const { deletionTimestamp, generation, name } = metadata;
  if (deletionTimestamp !== undefined) return `${name} is still being deleted`;
  if (!isObject(spec) || !isObject(status)) return `${name} has no status`;
  const said = `${String(status['phase'])} ${why(status)}`;
  if (status['observedGeneration'] !== generation) {
    return `${name} has generation ${generation}, and its status is of ${status['observedGeneration']}: ${said}`;
  }
  if (running === undefined && hasNoRoom()) return undefined;
  const problem = mayRest(spec, status) ? problemAtRest(running, spec, status) : problemOfRunning(running, status);
  return problem && `${name} ${problem}: ${said}`;
}

/** Reasons of VMs that have run, and are not started again. */
const rests: Readonly<Record<string, readonly unknown[]>> = {
  Always: [],
  RerunOnFailure: ['Completed'],
  Once: ['Completed', 'Failed', 'AgentRestarted', 'HostDrained'],
};

function mayRest(spec: Members, status: Members): boolean {
  const strategy = String(spec['runStrategy']);
  return strategy === 'Halted' || rests[strategy]?.includes(conditionOf(status, 'Ready')?.['reason']) === true;
}

function problemAtRest(running: Running | undefined, spec: Members, status: Members): string | undefined {
  if (running !== undefined) return `is at rest, and runs on ${running.node}`;
  const isHalted = conditionOf(status, 'Ready')?.['reason'] === 'Halted';
  return spec['runStrategy'] === 'Halted' && !isHalted ? 'is halted, and its status does not say so' : undefined;
}

function problemOfRunning(running: Running | undefined, status: Members): string | undefined {
  if (running === undefined) return 'does not run';
  if (running.state !== 'Running') return `is ${running.state} on ${running.node}`;
  if (status['nodeName'] !== running.node) return `runs on ${running.node}, and not on ${status['nodeName']}`;
  if (status['phase'] !== 'Running') return 'runs, and its status does not say so';
  const open = ['Reconciling', 'Stalled'].find((type) => conditionOf(status, type)?.['status'] === 'True');
  return open && `runs, and is ${open}`;
}

type Members = Readonly<Record<string, unknown>>;

function conditionOf(status: Members, wanted: string): Members | undefined {
  const conditions: readonly unknown[] = Array.isArray(status['conditions']) ? status['conditions'] : [];
  return conditions.filter(isObject).find(({ type }) => type === wanted);
}

function why(status: Members): string {
  const ready = conditionOf(status, 'Ready');
  return ready !== undefined ? `(${ready['reason']}: ${ready['message']})` : '';
}

/** Folders of VMs that no object accounts for. */
function leftFiles({ machines }: SimulatedSystem, uids: ReadonlySet<string>): readonly string[] {
  return machines.flatMap(({ disk, isOff, name }) => {
    if (isOff) return [];
    const folders = disk.paths().map((path) => /\/vms\/([0-9a-f-]{36})$/.exec(path)?.[1]);
    return folders
      .filter((uid) => uid !== undefined && !uids.has(uid))
      .map((uid) => `${name} keeps the folder of ${uid}, which has no object`);
  });
}
