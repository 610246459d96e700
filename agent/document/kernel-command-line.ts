// The kernel command line of the ordinary document (docs/reference/hcs-documents.md §6.10, §6.11). Every fragment
// begins with a space, even the first one when the root fragment is empty (quirk 1). Option texts are inserted
// unchanged (quirk 13); the manifest's schema restricts what they may contain.
import { beginning } from '../../runtime/beginning.ts';
import { type BuildContext, warn } from './build-context.ts';
import { consoleArguments, hasConsole } from './console.ts';
import { VsockPort } from './constants.ts';
import {
  initArgumentsMaximum,
  initWords,
  isPlainCommandLine,
  kernelCommandLineBytes,
  kernelWords,
} from './kernel-words.ts';
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
  const init = initArguments(context);
  const shell = hasConsole(options) ? `${command} & exec sh` : undefined;
  const text = `${kernel} -- ${init} ${shell === undefined ? command : `sh -c "${shell}"`}`;
  if (!isPlainCommandLine(text, kernel.length + 1)) {
    const meant = [...kernelWords(init), ...(shell === undefined ? kernelWords(command) : ['sh', '-c', shell])];
    warnOfOtherReading(context, text, meant);
  }
  return { text, execCommandLine };
}

/** The original sends such a command line without a word, and the guest then waits or ends. `meant`: for init. */
function warnOfOtherReading(context: BuildContext, text: string, meant: readonly string[]): void {
  const bytes = Buffer.byteLength(text);
  if (bytes > kernelCommandLineBytes) {
    const most = `the kernel reads only the first ${kernelCommandLineBytes}`;
    const shorten = `shorten boot.kernelOptions, boot.execCommandLine or boot.extraExecArgs`;
    const message = `the kernel command line has ${bytes} bytes, and ${most}: the command that starts the guest agent, at its end, is cut, and the guest does not boot; ${shorten}`;
    warn(context, 'KernelCommandLineCut', message);
  }
  const given = initWords(text);
  if (given.length > initArgumentsMaximum) {
    const most = `the kernel takes at most ${initArgumentsMaximum} and panics ("Too many boot init vars")`;
    const message = `the kernel command line has ${given.length} arguments for init, and ${most}, so the guest does not boot; shorten boot.execCommandLine or boot.extraExecArgs`;
    warn(context, 'TooManyInitArguments', message);
  }
  if (given.length === meant.length && given.every((word, index) => word === meant[index])) return;
  const shown = JSON.stringify(beginning(given.join(' '), shownOfCommand));
  const causes =
    'a word -- or an odd number of quotation marks in boot.kernelOptions, or either in boot.execCommandLine';
  const message = `the kernel gives init the arguments ${shown} instead of those that start the guest agent, and the guest does not boot; look for ${causes}, boot.extraExecArgs or guest.processDumpLocation`;
  warn(context, 'KernelCommandLineMisread', message);
}

const shownOfCommand = 80;

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
  return (
    '/bin/vsockexec' +
    (switches?.outliveAgent === true ? ' -r' : '') +
    (options.ForwardStdout ? ` -o ${VsockPort.Log}` : '') +
    (options.ForwardStderr ? ` -e ${VsockPort.Log}` : '') +
    ` ${execCommandLine}` +
    (options.ProcessDumpLocation === '' ? '' : ` -core-dump-location ${options.ProcessDumpLocation}`)
  );
}
