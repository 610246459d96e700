// What a large number of VMs costs: memory of the operator, and the time of one reconciliation.
import { setTimeout as sleep } from 'node:timers/promises';
import { benchStore, promisedMebibytes, type StoreFigure } from '../../store.ts';
import { FleetBed } from '../bed.ts';
import type { Measure } from '../report/results.ts';
import type { FleetSizes } from '../sizes.ts';
import { type Measured, names, type Part, patience } from './part.ts';

const promised = { growth: 1.2 } as const;
const steps = [100, 1_000, 2_000, 5_000, 10_000, 20_000] as const;
/** VMs that are created at each size to measure what they cost. */
const probes = 200;
const warmUps = 1_000;

/** With this many VMs. */
interface Size {
  readonly machines: number;
  /** Of processor time. */
  readonly millisecondsOfPass: number;
  readonly millisecondsOfMachine: number;
  readonly residentMebibytes: number;
}

export const size: Part = {
  name: 'size',
  title: 'Many VMs',
  async run(sizes, say) {
    const counts = [...steps.filter((each) => each < sizes.cached), sizes.cached];
    const fresh: StoreFigure[] = [];
    for (const count of counts) {
      fresh.push(await benchStore(count));
      say(`a fresh operator with ${count} VMs: ${fresh.at(-1)?.mebibytes.toFixed(0)} MiB`);
    }
    const { grown, processorSeconds, restarted } = await grownFleet(sizes, counts, say);
    return {
      setting: settingOf(sizes),
      processorSeconds,
      measures: [...measuresOf(fresh, grown, restarted)],
      plots: [
        {
          id: 'memory-vms',
          title: 'Resident memory of the operator with cached VMs',
          x: { label: 'VMs', scale: 'linear' },
          y: { label: 'MiB', scale: 'linear' },
          series: [
            { name: 'fresh', points: fresh.map(({ machines, mebibytes }) => [machines, mebibytes]) },
            { name: 'has made all of them', points: grown.map((each) => [each.machines, each.residentMebibytes]) },
          ],
          bound: { name: 'bound of the fresh one', y: promisedMebibytes },
        },
        {
          id: 'reconcile',
          title: 'Processor time of one reconciliation',
          x: { label: 'VMs that exist', scale: 'log' },
          y: { label: 'ms', scale: 'linear' },
          series: [
            { name: 'one pass', points: grown.map((each) => [each.machines, each.millisecondsOfPass]) },
            { name: 'one VM to Ready', points: grown.map((each) => [each.machines, each.millisecondsOfMachine]) },
          ],
        },
      ],
    };
  },
};

interface Growth extends Pick<Measured, 'processorSeconds'> {
  readonly grown: readonly Size[];
  /** Resident MiB of the operator that follows. */
  readonly restarted: number;
}

async function grownFleet(
  { agents, bootMilliseconds, profile, settleSeconds }: FleetSizes,
  counts: readonly number[],
  say: (line: string) => void,
): Promise<Growth> {
  await using bed = await FleetBed.prepare({ agents, bootMilliseconds, profile });
  await bed.start(agents, patience.agents);
  // Code that V8 has not compiled yet would be measured instead.
  await create(bed, names('warm-up', Math.min(warmUps, counts.at(-1) ?? 0)));
  await bed.cluster.deleteMachines(patience.machines);
  const grown: Size[] = [];
  let existing = 0;
  for (const count of counts) {
    const added = Array.from({ length: Math.max(0, count - existing) }, (_, index) => `vm-${existing + index}`);
    await create(bed, added);
    existing += added.length;
    grown.push(await probed(bed, existing, settleSeconds));
    existing += probes;
    const { millisecondsOfPass, residentMebibytes } = grown.at(-1) ?? {};
    say(`${count} VMs: ${millisecondsOfPass?.toFixed(2)} ms for a pass, ${residentMebibytes?.toFixed(0)} MiB`);
  }
  const processorSeconds = await bed.processorSeconds();
  return { grown, processorSeconds, restarted: await restartedMemory(bed, settleSeconds) };
}

async function create({ cluster }: FleetBed, machines: readonly string[]): Promise<void> {
  await cluster.createMachines(machines);
  await cluster.untilRunning(patience.machines);
  await cluster.settledWrites();
}

async function probed(bed: FleetBed, existing: number, settleSeconds: number): Promise<Size> {
  await sleep(settleSeconds * 1000);
  const residentMebibytes = await bed.operator.residentMebibytes();
  const before = await bed.operator.passes();
  await create(bed, names(`probe-${existing}`, probes));
  const after = await bed.operator.passes();
  const milliseconds = (after.processorSeconds - before.processorSeconds) * 1000;
  return {
    machines: existing,
    millisecondsOfPass: milliseconds / (after.passes - before.passes),
    millisecondsOfMachine: milliseconds / probes,
    residentMebibytes,
  };
}

/** Of an operator that starts with all these VMs and gets the agents of another one. */
async function restartedMemory(bed: FleetBed, settleSeconds: number): Promise<number> {
  await bed.operator.stop();
  bed.agents.move(await bed.operator.start());
  await sleep(settleSeconds * 1000);
  await bed.agents.untilLive(patience.agents);
  await sleep(settleSeconds * 1000);
  return bed.operator.residentMebibytes();
}

function measuresOf(fresh: readonly StoreFigure[], grown: readonly Size[], restarted: number): readonly Measure[] {
  const [least, most, last] = [grown.at(0), grown.at(-1), fresh.at(-1)];
  const first = { name: `with ${least?.machines} VMs`, value: least?.millisecondsOfPass ?? Number.NaN };
  const growth = (most?.millisecondsOfPass ?? Number.NaN) / first.value;
  return [
    {
      ...{ name: `a fresh operator with ${last?.machines} cached VMs of ${last?.bytesEach} bytes`, unit: 'MiB' },
      ...{ value: last?.mebibytes ?? Number.NaN, most: promisedMebibytes },
    },
    {
      name: `the operator that has made ${most?.machines} VMs`,
      unit: 'MiB',
      value: most?.residentMebibytes ?? Number.NaN,
    },
    { name: 'the next operator, with these VMs and all agents', unit: 'MiB', value: restarted },
    {
      ...{ name: `processor time of a pass with ${most?.machines} VMs`, unit: 'ms' },
      ...{ value: most?.millisecondsOfPass ?? Number.NaN, baseline: first },
    },
    {
      name: `a pass with ${most?.machines} VMs, relative to ${least?.machines} VMs`,
      unit: '×',
      value: growth,
      most: promised.growth,
    },
    {
      name: `processor time of a VM to Ready, with ${most?.machines} VMs`,
      unit: 'ms',
      value: most?.millisecondsOfMachine ?? Number.NaN,
    },
  ];
}

function settingOf({ agents, cached, settleSeconds }: FleetSizes): string {
  return `Up to ${cached} VMs over ${agents} agents. A fresh operator lists VMs with eight labels and managed fields from a scripted API server (\`npm run bench -- store\`). Another one makes all VMs on a real API server; at each size, ${probes} more VMs are created to see what they cost. Memory is read after ${settleSeconds} s.`;
}
