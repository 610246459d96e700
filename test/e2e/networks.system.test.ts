// The networks of hosts in their status, and that a Host Networking Service that hangs or is missing holds up nothing.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { z } from 'zod';
import { threeHosts } from '../../simulator/playground/system.ts';
import { defaultHost } from '../support/agent/simulated-node.ts';
import { isRunning, RunningSystem } from '../support/system/running-system.ts';

const host = z.object({
  status: z.object({
    hnsVersion: z.string().optional(),
    networks: z.array(z.object({ name: z.string(), type: z.string(), subnets: z.array(z.string()) })).optional(),
  }),
});
/** Facts are written at most once a minute. */
const factsMilliseconds = 120_000;

it('a host shows its networks, and runs VMs as ever while HNS hangs or is missing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hns-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const described = async (name: string, changes: object): Promise<[string, string]> => {
    const path = join(folder, `${name}.yaml`);
    await writeFile(path, stringify({ ...defaultHost, ...changes }));
    return [name, path];
  };
  const hosts = new Map([
    ...[...threeHosts].filter(([name]) => name === 'win-2022-a'),
    await described('win-hanging', { script: [{ at: 'listNetworks', times: 'always', stall: true }] }),
    await described('win-without', { hns: { isInstalled: false } }),
  ]);
  await using system = await RunningSystem.start(hosts);
  const statusOf = async (name: string) =>
    host.parse(JSON.parse(await system.kubectl(['get', 'luvmhost', name, '-o', 'json']))).status;
  for (const nodeName of hosts.keys()) {
    await system.apply(`on-${nodeName}`, { nodeName });
    await system.untilMachine(`on-${nodeName}`, 'runs', isRunning);
  }
  const shown = await system.until(
    'the host shows its networks',
    async () => {
      const status = await statusOf('win-2022-a');
      return status.networks !== undefined && status;
    },
    factsMilliseconds,
  );
  expect(shown).toEqual({
    hnsVersion: '13.2',
    networks: [
      { name: 'nat', type: 'NAT', subnets: ['172.20.0.0/16'] },
      { name: 'vms', type: 'L2Bridge', subnets: ['192.168.128.0/20'] },
    ],
  });
  expect(await system.kubectl(['get', 'luvmhost', 'win-2022-a', '-o', 'wide'])).toMatch(/HNS[\s\S]*13\.2/);
  for (const name of ['win-hanging', 'win-without']) expect(await statusOf(name)).toEqual({});
  for (const nodeName of hosts.keys()) await system.kubectl(['delete', 'luvm', `on-${nodeName}`, '--timeout=60s']);
});
