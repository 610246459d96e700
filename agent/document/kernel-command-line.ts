// The kernel command line of the ordinary document (docs/reference/hcs-documents.md §6.10, §6.11). Every fragment
// begins with a space, even the first one when the root fragment is empty (quirk 1). Option texts are inserted
// unchanged (quirk 13); the manifest's schema restricts what they may contain.
import { type BuildContext, warn } from './build-context.ts';
import { consoleArguments, hasConsole } from './console.ts';
import { VsockPort } from './constants.ts';
import { RootFsType } from './options.ts';

export interface KernelCommandLine {
  readonly text: string;
  /** ExecCommandLine with its flags appended: the original writes it back into its options (quirk 12). */
  readonly execCommandLine: string;
}

export function buildKernelCommandLine(context: BuildContext, rootArguments: string): KernelCommandLine {
  const { options, host } = context;
  const execCommandLine = options.ExecCommandLine + guestFlags(context);
  const kernel =
    rootArguments +
    ' initcall_blacklist=virtio_vsock_init' +
    consoleArguments(options, host.architecture) +
    (options.KernelBootOptions === '' ? '' : ` ${options.KernelBootOptions}`) +
    (options.VPCIEnabled ? '' : ' pci=off') +
    // Quirk 2: the count as requested, not as clamped.
    ` nr_cpus=${options.ProcessorCount} brd.rd_nr=0 pmtmr=0`;
  const command = guestCommand(context, execCommandLine);
  return { text: `${kernel} -- ${initArguments(context)} ${command}`, execCommandLine };
}

function guestFlags(context: BuildContext): string {
  const { options, scrubLogs } = context;
  const timeSync = options.DisableTimeSyncService ? ' -disable-time-sync' : '';
  if (scrubLogs === undefined) {
    return timeSync;
  }
  return timeSync + (scrubLogs ? ' -scrub-logs' : ' -scrub-logs=false');
}

/** `-e 1`: init reads entropy from that port. */
function initArguments(context: BuildContext): string {
  const { options } = context;
  const entropy = `-e ${VsockPort.Entropy}`;
  if (!options.WritableOverlayDirs) {
    return entropy;
  }
  if (options.PreferredRootFSType === RootFsType.Vhd) {
    return `${entropy} -w`;
  }
  if (options.PreferredRootFSType === RootFsType.InitRd) {
    warn(context, 'WritableOverlayIgnored', 'writable overlay directories have no effect with an initrd root');
  }
  return entropy;
}

function guestCommand(context: BuildContext, execCommandLine: string): string {
  const { options, switches } = context;
  const command =
    '/bin/vsockexec' +
    (switches?.outliveAgent === true ? ' -r' : '') +
    (options.ForwardStdout ? ` -o ${VsockPort.Log}` : '') +
    (options.ForwardStderr ? ` -e ${VsockPort.Log}` : '') +
    ` ${execCommandLine}` +
    (options.ProcessDumpLocation === '' ? '' : ` -core-dump-location ${options.ProcessDumpLocation}`);
  return hasConsole(options) ? `sh -c "${command} & exec sh"` : command;
}
