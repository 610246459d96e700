// How long the operator computes for a large set: the plan of a rollout of all its VMs, and the choice of a host for one
// more VM, which counts the others on each host.
import { setLabel } from '../../crds/names.ts';
import { Inventory } from '../../operator/controller/knowledge/inventory.ts';
import { Restoration } from '../../operator/controller/knowledge/restoration.ts';
import { VirtualMachines } from '../../operator/controller/knowledge/virtual-machines.ts';
import { Evictions } from '../../operator/controller/placement/evictions.ts';
import { Fleet } from '../../operator/controller/placement/fleet.ts';
import type { Host, Node } from '../../operator/kubernetes/objects.ts';
import { systemClock } from '../../runtime/clock.ts';
import { type PlanInput, plan, type Replica } from '../../sets/plan.ts';
import { makeHost, makeMachine, makeNode } from '../support/operator/objects.ts';
import { threadTime } from '../support/thread-time.ts';

export const promisedPlanMilliseconds = 5;

export interface SetFigures {
  readonly replicas: number;
  readonly hosts: number;
  /** Processor time in milliseconds, the median of the rounds. */
  readonly plan: number;
  readonly placement: number;
}

const rounds = 11;
/** The clock of a thread may be coarse. */
const runsOfRound = 50;

export function benchSets(replicas: number, hosts: number): SetFigures {
  const input = rollout(replicas);
  const subject = fleetWith(replicas, hosts);
  const newcomer = memberOf(replicas, undefined);
  const { spec } = newcomer;
  if (!spec.ok) throw new Error(spec.message);
  const wanted = spec.value;
  subject.machines.observe({ type: 'Applied', key: keyOf(newcomer), object: newcomer, previous: undefined });
  return {
    replicas,
    hosts,
    plan: median(() => {
      if (plan(input).actions.length === 0) throw new Error('the plan does nothing');
    }),
    placement: median(() => {
      if (!subject.fleet.assume(newcomer.metadata.uid, wanted).placed) throw new Error('the VM fits nowhere');
      subject.fleet.settle(newcomer.metadata.uid);
    }),
  };
}

function median(run: () => void): number {
  const times = Array.from({ length: rounds }, () => {
    const before = threadTime();
    for (let each = 0; each < runsOfRound; each += 1) run();
    return (threadTime() - before) / runsOfRound;
  });
  return times.sort((one, other) => one - other)[Math.floor(rounds / 2)] ?? 0;
}

/** Each VM is available, and has to restart for the new revision. */
function rollout(count: number): PlanInput {
  const wanted = Array.from({ length: count }, (_, ordinal) => ordinal);
  const replicas = wanted.map(
    (ordinal): Replica => ({
      name: `web-${ordinal}`,
      ordinal,
      revision: 'old',
      ...{ isAvailable: true, wasReady: true, wasReadyBefore: true, isDeleting: false, isRestarting: false },
      ...{
        isChanging: false,
        isEvicting: false,
        isToLeave: false,
        isAway: false,
        isToReplace: false,
        restartRequired: false,
      },
      step: 'Restart',
      lacksLivePart: false,
    }),
  );
  return {
    ...{ wanted, replicas, taken: new Set(), type: 'RollingUpdate', method: 'LiveOrRestart', paused: false },
    ...{ partition: 0, maxParallelLive: 1, maxUnavailable: Math.ceil(count / 10) },
    ...{ currentRevision: 'old', updateRevision: 'new' },
  };
}

function fleetWith(replicas: number, count: number) {
  const [hosts, nodes] = [new Map<string, Host>(), new Map<string, Node>()];
  const inventory = new Inventory(systemClock);
  for (const name of Array.from({ length: count }, (_, index) => hostName(index))) {
    hosts.set(name, makeHost(name, { memoryInMB: 2 ** 30 }));
    nodes.set(name, makeNode(name));
    inventory.begin(name, [], true);
    inventory.settle(name);
  }
  const machines = new VirtualMachines();
  for (let ordinal = 0; ordinal < replicas; ordinal += 1) {
    const object = memberOf(ordinal, hostName(ordinal % count));
    machines.observe({ type: 'Applied', key: keyOf(object), object, previous: undefined });
  }
  const evictions = new Evictions(nodes, inventory, systemClock);
  const restoration = new Restoration(systemClock);
  return { machines, fleet: new Fleet({ hosts, nodes, sets: new Map(), inventory, machines, evictions, restoration }) };
}

function memberOf(ordinal: number, nodeName: string | undefined) {
  const name = `web-${ordinal}`;
  return makeMachine({
    metadata: { uid: name, name, labels: { [setLabel]: 'web' } },
    status: nodeName === undefined ? {} : { nodeName },
  });
}

const hostName = (index: number) => `host-${index}`;
const keyOf = ({ metadata }: ReturnType<typeof makeMachine>) => `default/${metadata.name}`;
