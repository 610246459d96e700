// The system under attack: three simulated hosts and one operator with its aggregated API, as in a release. One of the
// hosts has links, 8.3 names and disks that lead to forbidden files.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { threeHosts } from '../../simulator/playground/system.ts';
import { described, vhd, vhdx } from '../support/agent/disk-images.ts';
import { RunningSystem } from '../support/system/running-system.ts';
import { attackedHost } from './path-attempts.ts';

const staged = 'C:\\ProgramData\\lcow\\vms\\6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e3f';

const files = {
  'C:\\disks\\data.vhdx': described(vhdx()),
  'C:\\disks\\child-of-other.vhdx': described(vhdx({ hasParent: true })),
  'C:\\disks\\child-of-other.vhd': described(vhd(4)),
  'C:\\disks\\teams\\kernel': 1000,
  'C:\\disks\\teams\\vmlinux': 1000,
  'C:\\disks\\teams\\rootfs.vhd': described(vhd(2)),
  [`${staged}\\vm.json`]: 4096,
  [`${staged}\\rootfs.vhd`]: 4096,
};
const links = {
  'C:\\disks\\TEAMSO~1': 'C:\\disks\\teams',
  'C:\\disks\\to-teams': 'C:\\disks\\teams',
  'C:\\disks\\to-boot': 'C:\\LinuxBootFiles',
  'C:\\disks\\LINUXB~1': 'C:\\LinuxBootFiles',
  'C:\\disks\\to-own': 'C:\\ProgramData\\lcow',
  'C:\\disks\\PROGRA~3': 'C:\\ProgramData',
};

/** The CPU group that manifests are allowed to join. */
export const allowedCpuGroup = 'aaaaaaaa-0000-4000-8000-000000000000';

export async function startTarget(): Promise<RunningSystem> {
  const running = await RunningSystem.start(threeHosts, async (_, directory) => ({
    // A flood must not exhaust this limited memory.
    operatorNodeFlags: ['--max-old-space-size=600'],
    hosts: new Map(threeHosts).set(attackedHost, await hostWithTraps(directory)),
    agentFlags: ['--allowed-cpu-group', allowedCpuGroup],
  }));
  await running.system.installApiService();
  return running;
}

const hostFile = z.looseObject({ files: z.record(z.string(), z.unknown()) });

async function hostWithTraps(directory: string): Promise<string> {
  const original = hostFile.parse(parse(await readFile(threeHosts.get(attackedHost) ?? '', 'utf8')));
  const path = join(directory, `${attackedHost}.yaml`);
  await writeFile(path, stringify({ ...original, files: { ...original.files, ...files }, links }));
  return path;
}
