// What a Windows node needs to run VMs (hcs-runtime A.6, G.1; hcs-documents §0.7, §2).

import { win32 } from 'node:path';
import { counted } from '../../runtime/counted.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { poolProblem, wantedPoolSize } from '../bounds/pool-size.ts';
import { HcsError } from '../node/hcs-error.ts';
import { type Check, failed, notApplicable, type Outcome, ok, warning } from './check.ts';
import { workerMayRead } from './file-access.ts';
import { hostNetworks } from './network-check.ts';

/** Windows Server 2019, the oldest whose computecore.dll has all functions that the agent calls (hcs-runtime A.1). */
const oldestBuild = 17763;

const build: Check = {
  id: 'windows-build',
  title: 'Windows build',
  needsWindows: true,
  async run(_settings, ports) {
    const { osBuild } = await ports.hostFacts();
    if (osBuild >= oldestBuild) return ok(String(osBuild));
    return failed(`build ${osBuild} is too old`, `install Windows Server 2019 (build ${oldestBuild}) or later`);
  },
};

/** Groups by SID: the names in the output are in the language of the system. */
const sids = { administrators: 'S-1-5-32-544', hyperVAdministrators: 'S-1-5-32-578' } as const;
/** Integrity levels of an elevated process: high and system. */
const elevatedLevels = ['S-1-16-12288', 'S-1-16-16384'] as const;

const privileges: Check = {
  id: 'privileges',
  title: 'privileges',
  needsWindows: true,
  async run(_settings, ports) {
    const { exitCode, output } = await ports.run('whoami.exe', ['/groups', '/fo', 'csv', '/nh']);
    if (exitCode !== 0) return failed(`whoami ended with ${exitCode}: ${output.trim()}`, 'run it by hand and see');
    const has = (sid: string) => output.includes(`"${sid}"`);
    if (!has(sids.administrators) && !has(sids.hyperVAdministrators)) {
      const fix = 'run the agent as SYSTEM, or as a member of Administrators or Hyper-V Administrators';
      return failed('this account may not use the Host Compute Service', fix);
    }
    if (elevatedLevels.some(has)) return ok('elevated, and a member of Administrators or Hyper-V Administrators');
    return failed('this process is not elevated', 'start it from an elevated prompt, or as SYSTEM');
  },
};

/** ERROR_SERVICE_DOES_NOT_EXIST, the exit code of sc.exe for a missing service. */
const noSuchService = 1060;
/** SERVICE_RUNNING. The label of the line is in the language of the system, so the number identifies it. */
const runningState = /:\s*4\s+\S/;

const computeService: Check = {
  id: 'compute-service',
  title: 'Host Compute Service',
  needsWindows: true,
  async run(_settings, ports) {
    const { exitCode, output } = await ports.run('sc.exe', ['query', 'vmcompute']);
    if (exitCode === noSuchService) {
      return failed('there is no service vmcompute', 'install the features Hyper-V and Containers, and restart');
    }
    if (exitCode !== 0) return failed(`sc query vmcompute ended with ${exitCode}: ${output.trim()}`, 'see its message');
    if (runningState.test(output)) return ok('vmcompute is running');
    return failed('vmcompute is not running', 'Start-Service vmcompute, and see the event log if it does not stay up');
  },
};

const hyperV: Check = {
  id: 'hyper-v',
  title: 'Hyper-V by way of HCS',
  needsWindows: true,
  async run(_settings, ports) {
    const hcs = await ports.connectHcs().catch((error: unknown) => new Error(messageOf(error)));
    if (hcs instanceof Error) {
      return failed(`computecore.dll cannot be used: ${hcs.message}`, 'install the feature Hyper-V, and restart');
    }
    try {
      const [{ logicalProcessorCount }, systems] = await Promise.all([hcs.processorTopology(), hcs.enumerate()]);
      return ok(`${counted(logicalProcessorCount, 'logical processor')}, ${counted(systems.length, 'compute system')}`);
    } catch (error) {
      return failed(messageOf(error), fixFor(error));
    } finally {
      await hcs.close();
    }
  },
};

function fixFor(error: unknown): string {
  if (!(error instanceof HcsError)) return 'see the message';
  if (error.isAccessDenied) return 'run as SYSTEM, or elevated as a member of Hyper-V Administrators';
  if (error.isHypervisorMissing) {
    return 'turn virtualisation on in the firmware, install Hyper-V, bcdedit /set hypervisorlaunchtype auto, and restart';
  }
  if (error.isServiceDisconnect) return 'Restart-Service vmcompute';
  return 'see docs/reference/hcs-runtime.md A.6 for this code';
}

/** AMD processor families that have SEV-SNP: Zen 3 (EPYC 7003) and later. */
const oldestSnpFamily = 25;

const snp: Check = {
  id: 'snp',
  title: 'SEV-SNP',
  needsWindows: true,
  async run({ isolation }, ports) {
    if (isolation === undefined) return notApplicable('--isolation snp was not given');
    const processor = ports.environment['PROCESSOR_IDENTIFIER'] ?? '';
    const family = Number(/Family (\d+)/.exec(processor)?.[1] ?? 0);
    if (!processor.includes('AuthenticAMD') || family < oldestSnpFamily) {
      return failed(`this processor has no SEV-SNP: ${processor}`, 'leave --isolation snp out on this node');
    }
    const { bootFiles } = await ports.hostFacts();
    const names = bootFiles.flatMap(({ files }) => files.map((file) => file.toLowerCase()));
    if (!names.some((name) => name.endsWith('.vmgs'))) {
      return failed('no folder of boot files has a .vmgs file', 'add kernel.vmgs and rootfs.vhd to the boot files');
    }
    return ok('the processor can; whether the firmware lets it, the first confidential VM tells');
  },
};

const bootFiles: Check = {
  id: 'boot-files',
  title: 'boot files',
  needsWindows: true,
  async run(_settings, ports) {
    const folders = (await ports.hostFacts()).bootFiles;
    const where = folders.map(({ path }) => path).join(', ');
    const names = new Set(folders.flatMap(({ files }) => files.map((file) => file.toLowerCase())));
    const missing = [
      ...(names.has('kernel') || names.has('vmlinux') ? [] : ['kernel or vmlinux']),
      ...(names.has('initrd.img') || names.has('rootfs.vhd') ? [] : ['initrd.img or rootfs.vhd']),
    ];
    if (missing.length === 0) return ok(where);
    return failed(
      `${where} has no ${missing.join(' and no ')}`,
      'copy the boot files of the guests there (docs/install.md)',
    );
  },
};

/** Names of boot files that a VM's worker process opens itself (hcs-documents §2). */
const openedByWorker: ReadonlySet<string> = new Set(['kernel', 'vmlinux', 'initrd.img', 'rootfs.vhd']);

const bootFileAccess: Check = {
  id: 'boot-file-access',
  title: 'access of VMs to boot files',
  needsWindows: true,
  async run(_settings, ports) {
    const folders = (await ports.hostFacts()).bootFiles;
    const paths = folders.flatMap(({ files, path }) =>
      files.filter((file) => openedByWorker.has(file.toLowerCase())).map((file) => win32.join(path, file)),
    );
    if (paths.length === 0) return notApplicable('there are no boot files');
    const readable = await Promise.all(paths.map(async (path) => workerMayRead(await ports.fileSecurity(path))));
    const closed = paths.filter((_path, index) => readable[index] === false);
    if (closed.length === 0) return ok('their worker processes may read all of them');
    const folder = win32.dirname(closed[0] ?? '');
    return warning(
      `the worker processes of VMs may not read ${closed.join(', ')}`,
      `icacls "${folder}" /grant "*S-1-5-83-0:(OI)(CI)(RX)" /T (the group Virtual Machines)`,
    );
  },
};

const threads: Check = {
  id: 'threads',
  title: 'threads for native calls',
  needsWindows: true,
  async run(_settings, ports): Promise<Outcome> {
    const problem = poolProblem(ports.environment);
    if (problem === undefined) return ok('enough');
    return failed(problem, `$env:UV_THREADPOOL_SIZE = ${wantedPoolSize}; the chart of the agent sets it`);
  },
};

export const hostChecks: readonly Check[] = [
  build,
  privileges,
  computeService,
  hyperV,
  hostNetworks,
  snp,
  bootFiles,
  bootFileAccess,
  threads,
];
