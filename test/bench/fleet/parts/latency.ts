// How long a user waits for a VM beyond the boot of the VM itself, while VMs are created at a fixed rate.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Span } from '../agents/messages.ts';
import { FleetBed } from '../bed.ts';
import { MachineWatch } from '../machine-watch.ts';
import { percentile, percentilePoints } from '../percentiles.ts';
import type { FleetSizes } from '../sizes.ts';
import { type Figures, names, type Part, patience } from './part.ts';

const promised = { medianMilliseconds: 150, p99Milliseconds: 1_000, writes: 4 } as const;
const warmUps = 50;
const progressMilliseconds = 10_000;

/** Milliseconds of one VM. */
interface Waits {
  /** The request that creates it, until it is answered. */
  readonly creation: number;
  /** From the request until its agent has the assignment. */
  readonly assignment: number;
  /** From the agent's report that it runs, until a watch shows it ready. */
  readonly report: number;
}

export const latency: Part = {
  name: 'latency',
  title: 'From creation to Ready',
  async run(sizes, say) {
    const { agents, bootMilliseconds, machines, profile } = sizes;
    await using bed = await FleetBed.prepare({ agents, bootMilliseconds, profile });
    await bed.start(agents, patience.agents);
    await using watching = await MachineWatch.start(bed.cluster);
    // Code that V8 has not compiled yet would be measured instead.
    await bed.cluster.createMachines(names('warm-up', warmUps));
    await watching.until('VMs before the measurement', () => watching.ready === warmUps, patience.machines);
    await bed.agents.lives();
    const before = await bed.cluster.settledWrites();
    const [passesBefore, begun] = [await bed.operator.passes(), performance.now()];
    const sent = await created(bed, sizes, (count) => say(`${count} of ${machines} VMs are created`));
    await watching.until('VMs', () => watching.ready === machines + warmUps, patience.machines);
    const [seconds, passesAfter] = [(performance.now() - begun) / 1000, await bed.operator.passes()];
    const { boots } = await bed.agents.lives();
    const after = await bed.cluster.settledWrites();
    const measured = figures(sizes, {
      waits: waitsOf(sent, watching, boots),
      // The creation itself is the user's write.
      writes: (after.machines + after.events - before.machines - before.events) / machines - 1,
      hostWrites: (after.hosts - before.hosts) / machines,
      processor: (passesAfter.processorSeconds - passesBefore.processorSeconds) / seconds,
    });
    return { ...measured, processorSeconds: await bed.processorSeconds() };
  },
};

interface Sent {
  readonly at: number;
  readonly creation: number;
}

/** Sends each request when it is due, whether the ones before it were answered or not. */
async function created(
  { cluster }: FleetBed,
  { machines, creationsPerSecond }: FleetSizes,
  progress: (count: number) => void,
): Promise<ReadonlyMap<string, Sent>> {
  const sent = new Map<string, Sent>();
  const begun = performance.now();
  const requests: Promise<void>[] = [];
  let told = begun;
  for (const [index, name] of names('load', machines).entries()) {
    const due = begun + (index * 1000) / creationsPerSecond;
    await sleep(Math.max(0, due - performance.now()));
    const at = performance.now();
    requests.push(
      cluster.createMachine(name).then(() => {
        sent.set(name, { at: performance.timeOrigin + at, creation: performance.now() - at });
      }),
    );
    if (at - told < progressMilliseconds) continue;
    told = at;
    progress(index + 1);
  }
  await Promise.all(requests);
  return sent;
}

function waitsOf(sent: ReadonlyMap<string, Sent>, watching: MachineWatch, boots: readonly Span[]): readonly Waits[] {
  const bootOf = new Map(boots.map((boot) => [boot.uid, boot]));
  return [...sent].map(([name, { at, creation }]) => {
    const boot = bootOf.get(watching.machines.get(name)?.uid ?? '');
    const readyAt = watching.readyAt.get(name);
    if (boot === undefined || readyAt === undefined) throw new Error(`${name} did not boot`);
    return { creation, assignment: boot.from - at, report: readyAt - boot.to };
  });
}

interface Totals {
  readonly waits: readonly Waits[];
  readonly writes: number;
  readonly hostWrites: number;
  /** Processors that the operator used on average. */
  readonly processor: number;
}

function figures(sizes: FleetSizes, { waits, writes, hostWrites, processor }: Totals): Figures {
  const { agents, bootMilliseconds, creationsPerSecond, machines } = sizes;
  const [totals, assignments, reports, creations] = [
    waits.map(({ assignment, report }) => assignment + report),
    waits.map(({ assignment }) => assignment),
    waits.map(({ report }) => report),
    waits.map(({ creation }) => creation),
  ];
  const request = (share: number) => ({
    name: 'one creation at the API server',
    value: percentile(creations, share),
  });
  const at = (name: string, values: readonly number[], share: number) => ({
    ...{ name, unit: 'ms', value: percentile(values, share) },
  });
  return {
    setting: `${machines} VMs over ${agents} agents, ${creationsPerSecond} creations a second. A VM boots for ${bootMilliseconds} ms, which are not counted. The API server runs with the durability of its defaults.`,
    measures: [
      {
        ...at('creation to Ready beyond the boot, median', totals, 0.5),
        ...{ most: promised.medianMilliseconds, baseline: request(0.5) },
      },
      {
        ...at('creation to Ready beyond the boot, 99 %', totals, 0.99),
        ...{ most: promised.p99Milliseconds, baseline: request(0.99) },
      },
      at('until the agent has the assignment, median', assignments, 0.5),
      at('from the report that the VM runs until it is seen Ready, median', reports, 0.5),
      { name: 'API writes for a VM, its Event included', unit: '', value: writes, most: promised.writes },
      { name: 'writes of hosts, for a VM', unit: '', value: hostWrites },
      { name: 'processors that the operator used', unit: '', value: processor },
    ],
    plots: [
      {
        id: 'latency',
        title: `Creation to Ready beyond the boot, ${machines} VMs, ${agents} agents`,
        x: { label: 'percent of the VMs', scale: 'linear' },
        y: { label: 'at most this many ms', scale: 'log' },
        series: [
          { name: 'in all', points: percentilePoints(totals) },
          { name: 'until assigned', points: percentilePoints(assignments) },
          { name: 'from report to Ready', points: percentilePoints(reports) },
          { name: 'one creation', points: percentilePoints(creations) },
        ],
      },
    ],
  };
}
