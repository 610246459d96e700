// What one seed decides before anything happens: how large the system is, and which kinds of faults it has to live with.
import { defaultLeaseTimes } from '../../operator/kubernetes/lease.ts';
import type { Chance } from './chance.ts';
import type { DiskFaults } from './disk/faults.ts';
import type { HostFaults } from './host/faults.ts';
import type { World } from './world.ts';

/** Of each call or attempt, unless the type of the members says otherwise. */
const hostFaults: HostFaults = {
  slowCall: 0.02,
  failingCall: 0.02,
  timedOutCall: 0.01,
  deniedCall: 0.01,
  failingAnswer: 0.01,
  hangingCall: 0.01,
  hangingQuery: 0.01,
  slowEnumeration: 0.3,
  lackingCapacity: 0.1,
  refusedDocument: 0.02,
  lateExitEvent: 0.3,
  lostExitEvent: 0.1,
  slowRunDown: 0.5,
  serviceRestart: 0.03,
  slowFileCall: 0.02,
  failingFileCall: 0.01,
  missingBootFile: 0.03,
  replacedBootFile: 0.03,
  guestCrash: 0.1,
  guestPanic: 0.1,
  guestPowerOff: 0.1,
  hangingBoot: 0.02,
  slowGuest: 0.05,
  refusedConnection: 0.01,
  refusingGuest: 0.02,
  droppedBridge: 0.1,
  floodedLog: 0.05,
  pausedSystem: 0.03,
};

const diskFaults = { slow: 0.02, failing: 0.005, full: 0.001, divided: 0.1 } as const;

/** Simulated milliseconds. */
export interface Spans {
  /** With faults. */
  readonly safety: number;
  /** Part of `safety` in which the VMs are created. */
  readonly creation: number;
  /** Part of `safety` at its beginning without what mishaps.ts plans. */
  readonly undisturbed: number;
  /** Without faults, and without a change. */
  readonly still: number;
}

const minute = 60_000;
/**
 * Time costs more than hosts, VMs or faults: most of what can go wrong does so within minutes, and a short run takes a
 * fifth of a long one. What takes longer, such as the longest pauses between attempts, needs long runs.
 */
const short: Spans = { safety: 4 * minute, creation: minute, undisturbed: 0.5 * minute, still: 2 * minute };
const long: Spans = { safety: 18 * minute, creation: 5 * minute, undisturbed: 2 * minute, still: 10 * minute };
const shareOfLong = 0.02;

export interface Profile {
  readonly spans: Spans;
  readonly hosts: number;
  readonly replicas: number;
  /** VMs that users make one by one. */
  readonly machines: number;
  /** Sets of VMs. */
  readonly sets: number;
  /** Some VMs have a process. Runs with sets are without: two such seeds found sets that do not settle. */
  readonly hasProcesses: boolean;
  /** VMs that each host takes, if its administrator has set a limit. */
  readonly room: number | undefined;
  /** The first of the hosts, which can isolate confidential VMs. */
  readonly isolatingHosts: number;
  /** How often a standby looks at the Lease: mostly seldom, because each look takes time to simulate. */
  readonly look: number;
  readonly hostFaults: Partial<HostFaults>;
  readonly diskFaults: DiskFaults;
  /** Names of the other kinds, which happen at times of the plan or in the network. */
  readonly kinds: ReadonlySet<FaultKind>;
}

export const faultKinds = [
  'operator crash',
  'operator update',
  'operator hold',
  'agent crash',
  'agent update',
  'power loss',
  'lost machine',
  'removed node',
  'renewals',
  'host cut off',
  'connections lost',
  'connections unanswered',
  'slow network',
  'API server restart',
  'API server partition',
  'API server faults',
  'clock step',
  'agent death in a call',
  'operator death in a call',
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** `without`: kinds of faults that are left out, for shrinking. They move no other draw. */
export function profileOf(world: World, without: ReadonlySet<string>): Profile {
  const sizes = world.chance('profile: sizes');
  const chosen = <K extends string>(names: readonly K[], what: string) => {
    const chance = world.chance(`profile: ${what}`);
    return names.filter((name) => chance.happens(0.5) && !without.has(name));
  };
  const hosts = 3 + sizes.integer(3);
  const sets = setsOf(world.chance('profile: sets of VMs'));
  return {
    spans: world.chance('profile: spans').happens(shareOfLong) ? long : short,
    hosts,
    replicas: 2 + sizes.integer(2),
    machines: 20 + sizes.integer(6) - sets * machinesOfSet,
    sets,
    hasProcesses: world.chance('profile: VMs with processes').happens(shareWithProcesses) && sets === 0,
    room: roomOf(world.chance('profile: room'), 20 / hosts),
    isolatingHosts: 1 + world.chance('profile: isolating hosts').integer(hosts),
    look: sizes.happens(0.25) ? defaultLeaseTimes.look : 2_500,
    hostFaults: Object.fromEntries(chosen(namesOf(hostFaults), 'hosts').map((name) => [name, hostFaults[name]])),
    diskFaults: {
      ...Object.fromEntries(chosen(namesOf(diskFaults), 'disks').map((name) => [name, diskFaults[name]])),
      lossy: world.chance('profile: lossy disks').happens(0.5),
    },
    kinds: new Set(chosen(faultKinds, 'kinds')),
  };
}

const shareWithProcesses = 0.3;
const shareWithSets = 0.3;
/** So many VMs fewer are made one by one for each set, so that a seed takes no longer. */
const machinesOfSet = 6;

function setsOf(chance: Chance): number {
  const [hasSets, isPair] = [chance.happens(shareWithSets), chance.happens(0.5)];
  if (!hasSets) return 0;
  return isPair ? 2 : 1;
}

const shareOfLimited = 0.3;

/** From too little, so that VMs have to wait for others, to just enough. `mean`: VMs of a host. */
function roomOf(chance: Chance, mean: number): number | undefined {
  const [isLimited, share] = [chance.happens(shareOfLimited), 0.6 + 0.6 * chance.number()];
  return isLimited ? Math.ceil(mean * share) : undefined;
}

/** Times at which something happens: on average once in `mean` milliseconds, from `from` to `until`. */
export function timesOf(chance: Chance, { from, until, mean }: Span): readonly number[] {
  const times: number[] = [];
  for (let at = from; ; ) {
    at += Math.ceil(-Math.log(1 - chance.number()) * mean);
    if (at >= until) return times;
    times.push(at);
  }
}

export interface Span {
  readonly from: number;
  readonly until: number;
  readonly mean: number;
}

function namesOf<T extends object>(record: T): readonly (keyof T & string)[] {
  return Object.keys(record).filter((name): name is keyof T & string => name in record);
}
