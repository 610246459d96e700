// What goes wrong at times of the plan: crashes, updates, cuts and restarts. Faults of single calls are drawn where the
// calls are.
import type { Chance } from './chance.ts';
import { type FaultKind, type Profile, timesOf } from './profile.ts';
import type { SimulatedMachine } from './system/simulated-machine.ts';
import type { SimulatedSystem } from './system/system.ts';
import { drainTaint, type Step, setNode } from './workload.ts';
import type { World } from './world.ts';

const minute = 60_000;

interface Planned {
  readonly at: number;
  /** For what else must be drawn for the mishap. */
  readonly chance: Chance;
}

type Planner = (subject: string, planned: Planned) => readonly Omit<Step, 'kind'>[];

interface Mishap {
  readonly kind: FaultKind;
  /** What it happens to. */
  readonly of: 'operator' | 'host' | 'cluster';
  /** The mean time between two of one subject, in milliseconds. */
  readonly mean: number;
  readonly steps: Planner;
}

const operatorOf = ({ operators }: SimulatedSystem, name: string) =>
  operators.find((operator) => operator.name === name);

/** Two machines stay, and one of them is the first, which can isolate VMs: all VMs need a place to go. */
function lose(system: SimulatedSystem, number: number): void {
  if (system.machines.filter(({ isOff }) => !isOff).length > 2) mortalOf(system, number)?.fail();
}

function mortalOf({ machines: [, ...others] }: SimulatedSystem, number: number): SimulatedMachine | undefined {
  return others[number % others.length];
}

const mishaps: readonly Mishap[] = [
  {
    kind: 'operator crash',
    of: 'operator',
    mean: 6 * minute,
    steps: (name, { at, chance }) => [
      { at, text: `${name} crashes`, run: (system) => operatorOf(system, name)?.crash() },
      { at: at + chance.integer(minute), text: `${name} starts`, run: (system) => operatorOf(system, name)?.start() },
    ],
  },
  {
    kind: 'operator update',
    of: 'operator',
    mean: 10 * minute,
    steps: (name, { at }) => [
      { at, text: `${name} is updated`, run: (system) => void operatorOf(system, name)?.stop() },
      { at: at + 10_000, text: `${name} starts`, run: (system) => operatorOf(system, name)?.start() },
    ],
  },
  {
    kind: 'operator hold',
    of: 'operator',
    mean: 4 * minute,
    steps: (name, { at, chance }) => [
      { at, text: `${name} gets no processor`, run: (system) => operatorOf(system, name)?.process?.hold() },
      {
        at: at + chance.integer(minute),
        text: `${name} goes on`,
        run: (system) => operatorOf(system, name)?.process?.resume(),
      },
    ],
  },
  {
    kind: 'API server partition',
    of: 'operator',
    mean: 6 * minute,
    steps: (name, { at, chance }) => {
      const cut = (isCut: boolean) => (system: SimulatedSystem) => {
        const process = operatorOf(system, name)?.process;
        if (process !== undefined) system.api.partition(process, isCut);
      };
      return [
        { at, text: `${name} does not reach the API server`, run: cut(true) },
        { at: at + chance.integer(minute), text: `${name} reaches the API server`, run: cut(false) },
      ];
    },
  },
  {
    kind: 'agent crash',
    of: 'host',
    mean: 5 * minute,
    steps: (host, { at, chance }) => {
      const from = at + chance.integer(15_000);
      const drain = (taints: readonly object[] | null) => (system: SimulatedSystem) =>
        setNode(system, host, { taints });
      return [
        { at, text: `the agent of ${host} crashes`, run: (system) => system.machine(host)?.crashAgent() },
        // Somebody does not trust the host any more.
        ...(chance.happens(0.3)
          ? [
              { at: from, text: `drain ${host}`, run: drain([drainTaint]) },
              { at: from + minute, text: `end of drain ${host}`, run: drain(null) },
            ]
          : []),
      ];
    },
  },
  {
    kind: 'agent update',
    of: 'host',
    mean: 12 * minute,
    steps: (host, { at }) => [
      { at, text: `the agent of ${host} is updated`, run: (system) => system.machine(host)?.stopAgent() },
    ],
  },
  {
    kind: 'power loss',
    of: 'host',
    mean: 8 * minute,
    steps: (host, { at }) => [{ at, text: `${host} loses power`, run: (system) => system.machine(host)?.losePower() }],
  },
  {
    kind: 'lost machine',
    of: 'cluster',
    mean: 8 * minute,
    steps: (_, { at, chance }) => {
      const number = chance.integer(10);
      return [{ at, text: 'a machine fails for good', run: (system) => lose(system, number) }];
    },
  },
  {
    kind: 'removed node',
    of: 'cluster',
    mean: 4 * minute,
    steps: (_, { at, chance }) => {
      const [number, later, returns] = [chance.integer(10), chance.integer(minute), chance.happens(0.5)];
      // After two minutes its VMs are elsewhere: until then they may still be given back to it.
      const away = number % 2 === 0 ? minute : 2.25 * minute;
      const machineOf = (system: SimulatedSystem) => mortalOf(system, number);
      const isRemoved = (system: SimulatedSystem) => machineOf(system)?.isOff === true;
      return [
        { at, text: 'a machine fails', run: (system) => lose(system, number) },
        {
          at: at + later,
          text: 'the Node of a failed machine is removed',
          run: (system) => {
            const machine = machineOf(system);
            if (isRemoved(system)) system.api.users.delete('Node', { name: machine?.name ?? '' });
          },
        },
        ...(returns
          ? [
              {
                at: at + later + away,
                text: 'a failed machine joins again',
                run: (system: SimulatedSystem) => {
                  if (isRemoved(system)) system.join(machineOf(system));
                },
              },
            ]
          : []),
      ];
    },
  },
  {
    kind: 'host cut off',
    of: 'host',
    mean: 8 * minute,
    steps: (host, { at, chance }) => [
      { at, text: `${host} is cut off`, run: ({ network }) => network.cut(host, true) },
      {
        at: at + chance.integer(3 * minute),
        text: `${host} is reached again`,
        run: ({ network }) => network.cut(host, false),
      },
    ],
  },
  {
    kind: 'clock step',
    of: 'host',
    mean: 10 * minute,
    steps: (host, { at, chance }) => {
      const skew = chance.integer(20 * minute) - 10 * minute;
      return [{ at, text: `the clock of ${host} is off by ${skew} ms`, run: (system) => system.skew(host, skew) }];
    },
  },
  {
    kind: 'API server restart',
    of: 'cluster',
    mean: 8 * minute,
    steps: (_, { at }) => [{ at, text: 'the API server restarts', run: ({ api }) => api.restart() }],
  },
];

export function mishapsOf(world: World, profile: Profile, hosts: readonly string[]): readonly Step[] {
  const operators = Array.from({ length: profile.replicas }, (_, index) => `operator-${index + 1}`);
  const { spans } = profile;
  const subjects = { operator: operators, host: hosts, cluster: ['the cluster'] };
  return mishaps
    .filter(({ kind }) => profile.kinds.has(kind))
    .flatMap(({ kind, mean, of, steps }) =>
      subjects[of].flatMap((subject) => {
        const chance = world.chance(`${kind} of ${subject}`);
        const times = timesOf(chance, { from: spans.undisturbed, until: spans.safety, mean });
        return times.flatMap((at) => steps(subject, { at, chance }).map((step) => ({ kind, ...step })));
      }),
    );
}
