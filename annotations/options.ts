// The options that hcsshim makes of annotations on a given host: the defaults of the host with what the annotations ask
// for, and the options that reset each other (docs/reference/hcs-documents.md §9.3, §9.5).
import { updateBootFilesPath } from '../agent/document/boot-files.ts';
import { BootFile } from '../agent/document/constants.ts';
import { type DefaultsHost, defaultOptions, type Identity } from '../agent/document/defaults.ts';
import type { FileFacts } from '../agent/document/facts.ts';
import { isolation } from '../agent/document/isolation.ts';
import { changeOptions, type LinuxOptionChanges, type LinuxOptions, RootFsType } from '../agent/document/options.ts';
import type { GivenOptions } from './given.ts';

export function optionsOf(given: GivenOptions, identity: Identity, host: DefaultsHost, files: FileFacts): LinuxOptions {
  const defaults = defaultOptions(identity, host, files);
  // Both the default folder and the given one have been probed: what the first has found stays (quirk 7). The kernel of
  // the given folder is looked for before the annotation can turn kernel-direct boot on.
  const probed =
    given.BootFilesPath === undefined
      ? defaults
      : updateBootFilesPath(defaults, given.BootFilesPath, host.currentDirectory, files);
  return steps.reduce((options, step) => changeOptions(options, step(given, options)), probed);
}

type Step = (given: GivenOptions, options: LinuxOptions) => LinuxOptionChanges;

const sameNamed: Step = ({ BootFilesPath, NoSecurityHardware, ...changes }) => changes;

/** Step 41. Quirk 8: the name of the file follows from the type, even if no annotation gives the type. */
const rootFile: Step = (_, { PreferredRootFSType }) => ({ RootFSFile: rootFiles.get(PreferredRootFSType) });

const rootFiles: ReadonlyMap<number, string> = new Map([
  [RootFsType.InitRd, BootFile.InitRd],
  [RootFsType.Vhd, BootFile.RootVhd],
]);

/** Step 42. */
const kernel: Step = (_, { KernelDirect }) => (KernelDirect ? {} : { KernelFile: BootFile.Kernel });

/** Step 43. */
const fullyPhysicallyBacked: Step = ({ FullyPhysicallyBacked }) =>
  FullyPhysicallyBacked === true ? { AllowOvercommit: false, VPMemDeviceCount: 0 } : {};

/** Step 45. */
const securityPolicy: Step = ({ EnableScratchEncryption, NoSecurityHardware, SecurityPolicy }) =>
  SecurityPolicy === undefined || SecurityPolicy === ''
    ? {}
    : { ...(NoSecurityHardware !== true && isolation), EnableScratchEncryption: EnableScratchEncryption ?? true };

/** Steps 46 to 48 come after the policy and win over it. */
const confidential: Step = ({ DmVerityMode, DmVerityRootFsVhd, GuestStateFilePath }) => ({
  DmVerityMode,
  DmVerityRootFsVhd,
  GuestStateFilePath,
});

const steps: readonly Step[] = [sameNamed, rootFile, kernel, fullyPhysicallyBacked, securityPolicy, confidential];
