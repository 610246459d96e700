// How fast many VMs become Ready: created one by one by 16 writers, as a set, and as raw writes without an operator.
import { inParallel } from '../../../security/in-parallel.ts';
import { FleetBed } from '../bed.ts';
import { type FleetCluster, machine, machinesPath, setsPath } from '../cluster.ts';
import { MachineWatch } from '../machine-watch.ts';
import type { Plot } from '../report/results.ts';
import type { FleetSizes } from '../sizes.ts';
import { type Figures, names, type Part, patience } from './part.ts';

const promised = { ratio: 1.2, writes: 4 } as const;

interface Round {
  readonly seconds: number;
  /** Seconds since the beginning, and the VMs that are ready. */
  readonly ready: Plot['series'][number]['points'];
  readonly writes: number;
  readonly setWrites: number;
}

export const throughput: Part = {
  name: 'throughput',
  title: 'Many VMs at once',
  async run(sizes, say) {
    const { agents, bootMilliseconds, machines, profile, rounds } = sizes;
    await using bed = await FleetBed.prepare({ agents, bootMilliseconds, profile });
    const rawSeconds = await rawWrites(bed.cluster, machines);
    say(`as many raw writes took ${rawSeconds.toFixed(1)} s`);
    await bed.start(agents, patience.agents);
    // Code that V8 has not compiled yet would be measured instead.
    await singles(bed, machines);
    const [single, set]: [Round[], Round[]] = [[], []];
    for (let round = 1; round <= rounds; round += 1) {
      single.push(await singles(bed, machines));
      say(`round ${round} of ${rounds}: one by one in ${single.at(-1)?.seconds.toFixed(1)} s`);
      set.push(await asSet(bed, machines));
      say(`round ${round} of ${rounds}: as a set in ${set.at(-1)?.seconds.toFixed(1)} s`);
    }
    return { ...figures(sizes, rawSeconds, single, set), processorSeconds: await bed.processorSeconds() };
  },
};

/** Four writes and an Event for each VM, as many as the operator needs with the user's own. */
async function rawWrites(cluster: FleetCluster, count: number): Promise<number> {
  const begun = performance.now();
  await inParallel(names('raw', count), async (name) => {
    const path = `${machinesPath}/${name}`;
    await cluster.createMachine(name);
    await cluster.send('PATCH', path, { metadata: { labels: { raw: 'yes' } } });
    await cluster.send('PATCH', `${path}/status`, { status: { phase: 'Scheduled', nodeName: 'win-0' } });
    await cluster.send('PATCH', `${path}/status`, { status: { phase: 'Running', systemID: name } });
    await cluster.send('POST', '/apis/events.k8s.io/v1/namespaces/default/events', eventAbout(name));
  });
  const seconds = (performance.now() - begun) / 1000;
  await cluster.deleteMachines(patience.machines);
  return seconds;
}

function eventAbout(name: string): object {
  return {
    metadata: { name: `${name}.raw` },
    eventTime: new Date().toISOString().replace('Z', '000Z'),
    reportingController: 'bench',
    reportingInstance: 'bench',
    ...{ action: 'Write', reason: 'Written', type: 'Normal', note: 'a raw write' },
    regarding: { kind: 'LinuxUtilityVM', apiVersion: machine.apiVersion, namespace: 'default', name },
  };
}

function singles(bed: FleetBed, count: number): Promise<Round> {
  return measured(bed, count, async () => {
    await bed.cluster.createMachines(names('single', count));
  });
}

function asSet(bed: FleetBed, count: number): Promise<Round> {
  return measured(bed, count, async () => {
    await bed.cluster.send('POST', setsPath, {
      ...{ apiVersion: machine.apiVersion, kind: 'LinuxUtilityVMSet', metadata: { name: 'web' } },
      spec: { replicas: count, template: { spec: machine.spec } },
    });
  });
}

/** Removes the VMs, and the set, afterwards. */
async function measured({ cluster }: FleetBed, count: number, create: () => Promise<void>): Promise<Round> {
  const [before, eventsBefore] = [await cluster.settledWrites(), await cluster.eventsOfSets()];
  await using watching = await MachineWatch.start(cluster);
  const begun = performance.timeOrigin + performance.now();
  const ready: [number, number][] = [[0, 0]];
  watching.onChange = (now) => ready.push([(now - begun) / 1000, watching.ready]);
  await Promise.all([create(), watching.until('VMs', () => watching.ready === count, patience.machines)]);
  const seconds = (performance.timeOrigin + performance.now() - begun) / 1000;
  const [after, eventsAfter] = [await cluster.settledWrites(), await cluster.eventsOfSets()];
  await cluster.find('DELETE', `${setsPath}/web`);
  await cluster.deleteMachines(patience.machines);
  const eventsOfSet = eventsAfter - eventsBefore;
  return {
    seconds,
    ready,
    writes: (after.machines + after.events - before.machines - before.events - eventsOfSet) / count - 1,
    setWrites: after.sets - before.sets + eventsOfSet,
  };
}

function figures(
  { agents, bootMilliseconds, machines, rounds }: FleetSizes,
  rawSeconds: number,
  single: readonly Round[],
  set: readonly Round[],
): Figures {
  const [one, together] = [mean(single, 'seconds'), mean(set, 'seconds')];
  return {
    setting: `${machines} VMs over ${agents} agents, created by 16 writers or as one set, in turn, ${rounds} times each. A VM boots for ${bootMilliseconds} ms, which are counted.`,
    measures: [
      {
        ...{ name: 'created one by one, until all are Ready', unit: 's', value: one },
        baseline: { name: 'as many raw writes without an operator', value: rawSeconds },
      },
      {
        ...{ name: 'as a set, until all are Ready', unit: 's', value: together },
        baseline: { name: 'one by one', value: one },
      },
      { name: 'as a set, relative to one by one', unit: '×', value: together / one, most: promised.ratio },
      {
        ...{ name: 'API writes for a VM, its Event included, one by one', unit: '', most: promised.writes },
        value: mean(single, 'writes'),
      },
      {
        ...{ name: 'API writes for a VM of a set, its Event included', unit: '', most: promised.writes },
        value: mean(set, 'writes'),
      },
      { name: 'writes of the set itself, its Events included', unit: '', value: mean(set, 'setWrites') },
    ],
    plots: [
      {
        id: 'throughput',
        title: `${machines} VMs until they are Ready`,
        x: { label: 'seconds since the first creation', scale: 'linear' },
        y: { label: 'VMs that are Ready', scale: 'linear' },
        series: [
          { name: 'one by one, by 16 writers', points: [...(single.at(-1)?.ready ?? [])] },
          { name: 'as a set', points: [...(set.at(-1)?.ready ?? [])] },
        ],
      },
    ],
  };
}

function mean(rounds: readonly Round[], name: 'seconds' | 'writes' | 'setWrites'): number {
  return rounds.reduce((sum, round) => sum + round[name], 0) / rounds.length;
}
