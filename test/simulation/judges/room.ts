// An administrator says how many VMs a host takes. No host ever has more, and no VM waits for room that there is: what
// does not run holds none (design §10).
import { isObject } from '../../../crds/structural.ts';
import type { StoredObject } from '../api-server/objects.ts';
import { domainsOf, memoryOfHost } from '../system/host-names.ts';
import type { SimulatedMachine } from '../system/simulated-machine.ts';
import type { SimulatedSystem } from '../system/system.ts';
import { BrokenInvariant } from './broken-invariant.ts';
import { membersOf, numberOf, setOf, strictConstraintsOf } from './set-rules.ts';
import { conditionOf } from './stored-condition.ts';

/** After each event in which a system has come. */
export function judgeRoom(system: SimulatedSystem): void {
  for (const machine of system.machines) {
    const [limit, size] = [limitOf(system, machine), sizeOf(machine)];
    if (size > limit) {
      throw new BrokenInvariant(
        'no host has more VMs than it takes',
        `${machine.name} takes ${limit}, and has ${size}`,
      );
    }
  }
}

/** Whether the VM waits for room, and there is none on any host that it could be on. */
export function lacksRoom(system: SimulatedSystem, object: StoredObject): boolean {
  return lacksMemory(system, object) || isCrowdedOut(system, object);
}

/** Another VM on the only host that it can be on keeps memory that its manifest does not ask for until it is restarted. */
function lacksMemory({ api }: SimulatedSystem, object: StoredObject): boolean {
  const host = boundTo(object);
  if (host === undefined || conditionOf(object, 'Ready')?.['reason'] !== 'InsufficientResources') return false;
  const used = api.users
    .list('LinuxUtilityVM')
    .map(({ status }) => membersOf(status))
    .filter(({ nodeName, phase }) => nodeName === host && phase === 'Running')
    .reduce((sum, { memorySizeInMB }) => sum + numberOf(memorySizeInMB), 0);
  return used + numberOf(membersOf(membersOf(object['spec'])['memory'])['sizeInMB']) > memoryOfHost;
}

function isCrowdedOut(system: SimulatedSystem, object: StoredObject): boolean {
  if (conditionOf(object, 'Scheduled')?.['status'] !== 'False') return false;
  const possible = system.machines.filter((machine, index) => {
    if (machine.isOff || system.api.users.get('Node', { name: machine.name }) === undefined) return false;
    if (!isSpreadAt(system, object, machine.name)) return false;
    if (isIsolated(object) && index >= system.profile.isolatingHosts) return false;
    return (boundTo(object) ?? machine.name) === machine.name;
  });
  return possible.every((machine) => sizeOf(machine) >= limitOf(system, machine));
}

/** Whether the constraints of the VM's set allow it to be there. */
function isSpreadAt({ api: { users } }: SimulatedSystem, object: StoredObject, host: string): boolean {
  const { namespace, uid } = object.metadata;
  const owner = setOf(object);
  const set = owner && users.get('LinuxUtilityVMSet', { namespace, name: owner.name });
  if (set === undefined) return true;
  const others = users
    .list('LinuxUtilityVM')
    .filter((other) => other.metadata.uid !== uid && setOf(other)?.uid === owner?.uid)
    .flatMap(({ status }) => membersOf(status)['nodeName'] ?? [])
    .map((name) => domainsOf(String(name)));
  const nodes = users.list('LinuxUtilityVMHost').flatMap(({ metadata: { name } }) => {
    return users.get('Node', { name }) === undefined ? [] : [domainsOf(name)];
  });
  return strictConstraintsOf(set).every(({ maxSkew, topologyKey: key }) => {
    const countIn = (domain: string | undefined) => others.filter((each) => each[key] === domain).length;
    const fewest = Math.min(...nodes.map((each) => countIn(each[key])));
    return countIn(domainsOf(host)[key]) < fewest + maxSkew;
  });
}

export function limitOf({ api }: SimulatedSystem, { name }: SimulatedMachine): number {
  const spec = api.users.get('LinuxUtilityVMHost', { name })?.spec;
  const limit = isObject(spec) ? spec['maxVirtualMachines'] : undefined;
  return typeof limit === 'number' ? limit : Number.POSITIVE_INFINITY;
}

function sizeOf({ host }: SimulatedMachine): number {
  return host.living().filter(({ uid }) => uid !== undefined).length;
}

function isIsolated({ spec }: StoredObject): boolean {
  const confidential = isObject(spec) ? spec['confidential'] : undefined;
  return isObject(confidential) && confidential['isolation'] === 'SNP';
}

/** The only host that has the VM's data, or that its manifest names. */
function boundTo({ spec, status }: StoredObject): unknown {
  if (!isObject(spec)) return undefined;
  const disks = isObject(spec['storage']) ? spec['storage']['disks'] : undefined;
  const writes = Array.isArray(disks) && disks.some((disk) => isObject(disk) && disk['readOnly'] !== true);
  return spec['nodeName'] ?? (writes && isObject(status) ? status['nodeName'] : undefined);
}
