// The checks before the build, in order; the first failure wins (docs/reference/hcs-documents.md §3).
import { Build, Limit } from './constants.ts';
import type { HostFacts } from './facts.ts';
import type { LinuxOptions } from './options.ts';
import { DocumentError } from './outcome.ts';

interface Rule {
  readonly text: string;
  readonly broken: (options: LinuxOptions, host: HostFacts) => boolean;
}

const pageBytes = BigInt(Limit.VPMemPageBytes);

const rules: readonly Rule[] = [
  {
    text: 'EnableDeferredCommit is not supported on physically backed VMs',
    broken: (options) => options.EnableDeferredCommit && !options.AllowOvercommit,
  },
  {
    // Checks the requested count, although the four-controller rule may replace it.
    text: `SCSI controller count can't be more than ${Limit.ScsiControllers}`,
    broken: (options) => options.SCSIControllerCount > Limit.ScsiControllers,
  },
  {
    text: `VPMem device count cannot be greater than ${Limit.VPMemDevices}`,
    broken: (options) => options.VPMemDeviceCount > Limit.VPMemDevices,
  },
  {
    text: `VPMemSizeBytes must be a multiple of ${Limit.VPMemPageBytes}`,
    broken: (options) => options.VPMemDeviceCount > 0 && options.VPMemSizeBytes % pageBytes !== 0n,
  },
  {
    text: `KernelDirectBoot is not supported on builds older than ${Build.KernelDirect}`,
    broken: (options, host) => options.KernelDirect && host.build < Build.KernelDirect,
  },
  {
    text: `EnableColdDiscardHint is not supported on builds older than ${Build.ColdDiscardHint}`,
    broken: (options, host) => options.EnableColdDiscardHint && host.build < Build.ColdDiscardHint,
  },
  {
    text: 'resource partition ID and CPU group ID cannot be set at the same time',
    broken: (options) => options.ResourcePartitionID !== undefined && options.CPUGroupID !== '',
  },
  {
    text: 'VPMem devices are not supported on ARM64',
    broken: (options, host) => host.architecture === 'arm64' && options.VPMemDeviceCount > 0,
  },
];

export function verifyOptions(options: LinuxOptions, host: HostFacts): void {
  for (const rule of rules) {
    if (rule.broken(options, host)) {
      throw new DocumentError('InvalidOptions', `UVM options incorrect: ${rule.text}`);
    }
  }
}
