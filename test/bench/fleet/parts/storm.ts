// Many agents: the memory that each of them costs, what they write while they are idle, and what happens when all of
// them lose their connection at once.
import { setTimeout as sleep } from 'node:timers/promises';
import { useOf } from '../../process-use.ts';
import { Agents } from '../agents/agents.ts';
import { BareServer } from '../bare-server/bare-server.ts';
import { FleetBed } from '../bed.ts';
import { LeaseWatch } from '../lease-watch.ts';
import type { Measure, Plot } from '../report/results.ts';
import type { FleetSizes } from '../sizes.ts';
import { names, type Part, patience } from './part.ts';

const promised = { memoryRatio: 1.5, stormSeconds: 60 } as const;
/** Shares of the agents that connect, one after the other. */
const shares = [0.1, 0.2, 0.4, 1] as const;
const progressMilliseconds = 30_000;

type Points = Plot['series'][number]['points'];

export const storm: Part = {
  name: 'storm',
  title: 'Many agents, and a reconnect storm',
  async run(sizes, say) {
    const { bootMilliseconds, idleAgents, idleMachines, profile } = sizes;
    await using bed = await FleetBed.prepare({ agents: idleAgents, bootMilliseconds, profile });
    const bare = await bareMemory(bed, sizes, say);
    const arrival = await arrived(bed, sizes, say);
    await bed.cluster.createMachines(names('idle', idleMachines));
    await bed.cluster.untilRunning(patience.machines);
    say(`${idleMachines} VMs run`);
    const idle = await idleWrites(bed, sizes, say);
    const loss = await stormed(bed, say);
    return {
      setting: settingOf(sizes),
      processorSeconds: await bed.processorSeconds(),
      measures: [...memoryMeasures(arrival, bare), ...arrival.measures, ...idle, ...loss.measures],
      plots: [
        {
          id: 'memory-agents',
          title: 'Resident memory with idle agents',
          x: { label: 'agents', scale: 'linear' },
          y: { label: 'MiB', scale: 'linear' },
          series: [
            { name: 'operator', points: [...arrival.memory] },
            { name: 'bare TLS WebSocket server', points: [...bare] },
          ],
        },
        {
          id: 'storm',
          title: `All ${idleAgents} agents lose their connection at once`,
          x: { label: 'seconds since then', scale: 'linear' },
          y: { label: 'agents that have a session again', scale: 'linear' },
          series: [{ name: 'agents', points: [...loss.live] }],
        },
      ],
    };
  },
};

/** Agents, and resident MiB of a server that only keeps their connections. */
async function bareMemory(
  { certificates }: FleetBed,
  { bootMilliseconds, idleAgents, settleSeconds }: FleetSizes,
  say: (line: string) => void,
): Promise<Points> {
  await using server = await BareServer.start(certificates.serving);
  await using agents = new Agents(bootMilliseconds);
  const points: Points = [];
  const read = async () => points.push([agents.count, (await useOf(server.pid)).residentMebibytes]);
  await sleep(settleSeconds * 1000);
  await read();
  for (const share of shares) {
    const target = { port: server.port, authority: certificates.authority, bare: true };
    await agents.join(Math.ceil(idleAgents * share), target);
    await agents.untilLive(patience.agents);
    await sleep(settleSeconds * 1000);
    await read();
    say(`bare server: ${agents.count} agents, ${points.at(-1)?.[1].toFixed(0)} MiB`);
  }
  return points;
}

interface Arrival {
  readonly memory: Points;
  readonly measures: readonly Measure[];
}

async function arrived(
  bed: FleetBed,
  { idleAgents, settleSeconds }: FleetSizes,
  say: (line: string) => void,
): Promise<Arrival> {
  const port = await bed.operator.start();
  using lease = await LeaseWatch.start(bed.cluster);
  const memory: Points = [];
  const read = async () => memory.push([bed.agents.count, await bed.operator.residentMebibytes()]);
  await sleep(settleSeconds * 1000);
  await read();
  let seconds = 0;
  for (const share of shares) {
    const begun = performance.now();
    await bed.agents.join(Math.ceil(idleAgents * share), { port, authority: bed.certificates.authority });
    await bed.agents.untilLive(patience.agents);
    seconds = (performance.now() - begun) / 1000;
    await sleep(settleSeconds * 1000);
    await read();
    say(
      `operator: ${bed.agents.count} agents, the last after ${seconds.toFixed(1)} s, ${memory.at(-1)?.[1].toFixed(0)} MiB`,
    );
  }
  const added = idleAgents - Math.ceil(idleAgents * (shares.at(-2) ?? 0));
  const { hosts } = await bed.cluster.settledWrites();
  return {
    memory,
    measures: [
      { name: `${added} new agents connect at once, until each has a session`, unit: 's', value: seconds },
      { name: 'writes of a host for its first session', unit: '', value: hosts / idleAgents },
      { name: 'changes of the leader while agents arrive', unit: '', value: await lease.changes(), most: 0 },
      { name: 'oldest Lease while agents arrive', unit: 's', value: lease.oldestSeconds },
    ],
  };
}

function memoryMeasures({ memory }: Arrival, bare: Points): readonly Measure[] {
  const [ours, theirs] = [eachAgent(memory), eachAgent(bare)];
  const last = memory.at(-1)?.[1] ?? Number.NaN;
  return [
    {
      ...{ name: 'memory of one idle agent in the operator', unit: 'KiB', value: ours },
      ...{ most: promised.memoryRatio * theirs, baseline: { name: 'a bare TLS WebSocket server', value: theirs } },
    },
    { name: 'operator with all agents', unit: 'MiB', value: last },
  ];
}

/** KiB: what the last agents add to a process without any. */
function eachAgent(points: Points): number {
  const [first, last] = [points.at(0), points.at(-1)];
  if (first === undefined || last === undefined) return Number.NaN;
  return ((last[1] - first[1]) * 1024) / (last[0] - first[0]);
}

async function idleWrites(
  { cluster }: FleetBed,
  { idleSeconds }: FleetSizes,
  say: (line: string) => void,
): Promise<readonly Measure[]> {
  const before = await cluster.settledWrites();
  const end = performance.now() + idleSeconds * 1000;
  for (let left = idleSeconds * 1000; left > 1; left = end - performance.now()) {
    say(`idle for another ${(left / 1000).toFixed(0)} s`);
    await sleep(Math.min(left, progressMilliseconds));
  }
  const after = await cluster.writes();
  const sum = ({ events, hosts, machines, sets }: typeof after) => events + hosts + machines + sets;
  return [
    {
      name: `writes within ${idleSeconds} idle seconds, Leases aside`,
      unit: '',
      value: sum(after) - sum(before),
      most: 0,
    },
  ];
}

async function stormed(bed: FleetBed, say: (line: string) => void): Promise<{ live: Points; measures: Measure[] }> {
  const [versions, before] = [await bed.cluster.machineVersions(), await bed.cluster.settledWrites()];
  using lease = await LeaseWatch.start(bed.cluster);
  const live: [number, number][] = [];
  const begun = performance.now();
  bed.agents.drop();
  await bed.agents.untilLive(patience.agents, () => live.push([(performance.now() - begun) / 1000, bed.agents.live]));
  const seconds = (performance.now() - begun) / 1000;
  live.push([seconds, bed.agents.live]);
  say(`all agents have a session again after ${seconds.toFixed(1)} s`);
  const after = await bed.cluster.settledWrites();
  const now = await bed.cluster.machineVersions();
  const changed = [...versions].filter(([name, version]) => now.get(name) !== version).length;
  const { away } = await bed.agents.lives();
  return {
    live,
    measures: [
      { name: 'storm: until every agent has a session again', unit: 's', value: seconds, most: promised.stormSeconds },
      { name: 'storm: changes of the leader', unit: '', value: await lease.changes(), most: 0 },
      { name: 'storm: oldest Lease', unit: 's', value: lease.oldestSeconds },
      { name: `storm: VMs that changed, of ${versions.size}`, unit: '', value: changed, most: 0 },
      { name: 'storm: VMs that were restarted', unit: '', value: away.length, most: 0 },
      {
        name: 'storm: writes of VMs and Events',
        unit: '',
        value: after.machines + after.events - before.machines - before.events,
        most: 0,
      },
      { name: 'storm: writes of hosts', unit: '', value: after.hosts - before.hosts },
    ],
  };
}

function settingOf({ idleAgents, idleMachines, settleSeconds }: FleetSizes): string {
  return `${idleAgents} agents, in steps; those of a step connect all at once, each from its own loopback address. Memory is read ${settleSeconds} s after a step. Then ${idleMachines} VMs are created, nothing happens for a while, and all connections end in the same moment. Agents connect again as the real ones do.`;
}
