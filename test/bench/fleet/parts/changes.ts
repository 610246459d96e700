// How changes reach the VMs of a large set: one while the VMs run, and one that restarts them.
import { restartedAtAnnotation } from '../../../../crds/names.ts';
import { FleetBed } from '../bed.ts';
import { machine, setsPath, type Writes } from '../cluster.ts';
import { MachineWatch } from '../machine-watch.ts';
import { overlapOf } from '../overlap.ts';
import type { Measure, Plot } from '../report/results.ts';
import type { FleetSizes } from '../sizes.ts';
import { type Part, patience } from './part.ts';

const promised = { liveSeconds: 30, liveWrites: 2 } as const;
const changedMemory = 768;
/** The status does not show states that last less than 2 s, so these boots are longer. */
const bootFactor = 3;
/** Of the VMs of the set. */
const budget = 0.1;
const setPath = `${setsPath}/web`;

interface Change {
  readonly begun: number;
  readonly seconds: number;
  /** The most VMs that were not ready at once, as a watch saw it. */
  readonly mostUnready: number;
  /** The same over time. */
  readonly unready: Plot['series'][number]['points'];
  /** For each VM. */
  readonly writes: number;
  readonly events: number;
}

export const changes: Part = {
  name: 'changes',
  title: 'Changes of a set',
  async run(sizes, say) {
    const { agents, machines, profile } = sizes;
    const bootMilliseconds = sizes.bootMilliseconds * bootFactor;
    const maxUnavailable = Math.max(1, Math.floor(machines * budget));
    await using bed = await FleetBed.prepare({ agents, bootMilliseconds, profile });
    await bed.start(agents, patience.agents);
    await using watching = await MachineWatch.start(bed.cluster);
    await bed.cluster.send('POST', setsPath, {
      ...{ apiVersion: machine.apiVersion, kind: 'LinuxUtilityVMSet', metadata: { name: 'web' } },
      spec: { replicas: machines, maxUnavailable, template: { spec: machine.spec } },
    });
    await watching.until('VMs of the set', () => watching.ready === machines, patience.machines);
    await bed.agents.lives();
    say(`a set of ${machines} VMs is ready; its memory is changed`);
    const live = await changed(bed, watching, sizes, { spec: { memory: { sizeInMB: changedMemory } } }, () =>
      [...watching.machines.values()].every(
        ({ isCurrent, memorySizeInMB }) => isCurrent && memorySizeInMB === changedMemory,
      ),
    );
    const restartedByLive = (await bed.agents.lives()).away.length;
    say(`the change took ${live.seconds.toFixed(1)} s; all VMs are restarted`);
    const asked = Date.now();
    const metadata = { annotations: { [restartedAtAnnotation]: new Date(asked).toISOString() } };
    const rolling = await changed(bed, watching, sizes, { metadata }, () =>
      [...watching.machines.values()].every(
        ({ isReady, restartedAt = '' }) => isReady && Date.parse(restartedAt) >= asked,
      ),
    );
    const away = overlapOf((await bed.agents.lives()).away, rolling.begun);
    return {
      setting: settingOf(sizes, maxUnavailable),
      processorSeconds: await bed.processorSeconds(),
      measures: [...liveMeasures(live, restartedByLive), ...rollingMeasures(rolling, away.most, maxUnavailable, sizes)],
      plots: [
        {
          id: 'rolling-restart',
          title: `A rolling restart of ${machines} VMs`,
          x: { label: 'seconds since the change of the set', scale: 'linear' },
          y: { label: 'VMs', scale: 'linear' },
          series: [
            { name: 'do not run, by their agents', points: [[0, 0], ...away.points] },
            { name: 'are not Ready, by a watch', points: [...rolling.unready] },
          ],
          bound: { name: 'maxUnavailable', y: maxUnavailable },
        },
      ],
    };
  },
};

/** Changes the template, and waits until `isDone`, which is asked after each change of a VM. */
async function changed(
  { cluster }: FleetBed,
  watching: MachineWatch,
  { machines }: FleetSizes,
  template: object,
  isDone: () => boolean,
): Promise<Change> {
  const before = await cluster.settledWrites();
  const begun = performance.timeOrigin + performance.now();
  const unready: [number, number][] = [[0, 0]];
  watching.onChange = (now) => {
    const [count, before] = [machines - watching.ready, unready.at(-1)?.[1] ?? 0];
    const seconds = (now - begun) / 1000;
    if (before !== count) unready.push([seconds, before], [seconds, count]);
  };
  await cluster.send('PATCH', setPath, { spec: { template } });
  await watching.until('the change of the set', isDone, patience.machines);
  const seconds = (performance.timeOrigin + performance.now() - begun) / 1000;
  watching.onChange = () => undefined;
  const after: Writes = await cluster.settledWrites();
  return {
    ...{ begun, seconds, unready },
    mostUnready: Math.max(...unready.map(([, count]) => count)),
    writes: (after.machines - before.machines) / machines,
    events: (after.events - before.events) / machines,
  };
}

function settingOf({ agents, bootMilliseconds, machines }: FleetSizes, maxUnavailable: number): string {
  return `A set of ${machines} VMs over ${agents} agents, maxUnavailable ${maxUnavailable}, maxParallelLive 10 %. A VM boots for ${bootMilliseconds * bootFactor} ms. First \`memory.sizeInMB\` changes, then \`lcow.dev/restartedAt\`, both in the template.`;
}

function liveMeasures({ seconds, mostUnready, writes, events }: Change, restarted: number): readonly Measure[] {
  return [
    { name: 'live change of all VMs', unit: 's', value: seconds, most: promised.liveSeconds },
    { name: 'VMs that it restarted', unit: '', value: restarted, most: 0 },
    { name: 'most VMs that were not Ready meanwhile', unit: '', value: mostUnready, most: 0 },
    { name: 'writes of a VM for it', unit: '', value: writes, most: promised.liveWrites },
    { name: 'Events of a VM for it', unit: '', value: events },
  ];
}

function rollingMeasures(
  { seconds, mostUnready, writes, events }: Change,
  away: number,
  maxUnavailable: number,
  { bootMilliseconds, machines }: FleetSizes,
): readonly Measure[] {
  const boots = {
    name: 'the boots alone, in rows',
    value: (machines / maxUnavailable) * ((bootMilliseconds * bootFactor) / 1000),
  };
  return [
    { name: 'rolling restart of all VMs', unit: 's', value: seconds, baseline: boots },
    { name: 'most VMs that did not run at once, by their agents', unit: '', value: away, most: maxUnavailable },
    { name: 'most VMs that were not Ready at once, by a watch', unit: '', value: mostUnready, most: maxUnavailable },
    { name: 'writes of a VM for its restart', unit: '', value: writes },
    { name: 'Events of a VM for its restart', unit: '', value: events },
  ];
}
