// The document of a VM that is not confidential (docs/reference/hcs-documents.md §6). The steps follow the original's
// order, which decides which error a VM with several faults gets.
import { buildAssignedDevices } from './assigned-devices.ts';
import type { BuildContext } from './build-context.ts';
import { type BootPaths, ordinaryChipset } from './chipset.ts';
import { comPorts } from './console.ts';
import { SecurityDescriptor } from './constants.ts';
import { exists } from './facts.ts';
import { parseGuid } from './guid.ts';
import { buildKernelCommandLine } from './kernel-command-line.ts';
import { buildMemory, normaliseMemory } from './memory.ts';
import { fitNuma, type NumaTopology, numaSlitType, prepareNuma } from './numa.ts';
import type { LinuxOptions } from './options.ts';
import { DocumentError } from './outcome.ts';
import { buildProcessor, unsignedCount, verifiedCount } from './processor.ts';
import { buildRootFileSystem, buildVirtualPMem, type RootFileSystem } from './root-file-system.ts';
import type { Devices, HvSocketConfig, Topology, VirtualMachine, Writable } from './schema.ts';
import { ordinaryServiceTable } from './service-table.ts';
import { type BuiltMachine, computeSystem, SchemaVersion } from './skeleton.ts';
import { buildScsi, buildStorageQoS } from './storage.ts';
import { joinPath } from './windows-paths.ts';

export function buildOrdinaryDocument(context: BuildContext): BuiltMachine {
  const { options } = context;
  const paths = findBootFiles(context);
  const { topology, numa, processorCount, memorySizeInMB } = buildTopology(context);
  const virtualPci = buildAssignedDevices(context, numa !== undefined);
  const root = buildRootFileSystem(context, paths.rootFileSystem);
  const commandLine = buildKernelCommandLine(context, root.kernelArguments);
  const machine: Writable<VirtualMachine> = {
    StopOnReset: true,
    Chipset: ordinaryChipset(options, paths, commandLine.text),
    ComputeTopology: topology,
    Devices: buildDevices(context, root, virtualPci),
  };
  const storageQoS = buildStorageQoS(options);
  if (storageQoS !== undefined) machine.StorageQoS = storageQoS;
  const partition = resourcePartition(context);
  if (partition !== undefined) machine.ResourcePartitionId = partition;
  const document = computeSystem(context, SchemaVersion.Ordinary, machine);
  return { document, processorCount, memorySizeInMB, execCommandLine: commandLine.execCommandLine };
}

/** Every root type requires the root file. An empty name refers to the folder and passes. */
function findBootFiles(context: BuildContext): BootPaths {
  const { options, files } = context;
  const kernel = joinPath(options.BootFilesPath, options.KernelFile);
  if (!exists(files, kernel)) {
    throw new DocumentError('BootFileNotFound', `kernel: '${kernel}' not found`);
  }
  const rootFileSystem = joinPath(options.BootFilesPath, options.RootFSFile);
  if (!exists(files, rootFileSystem)) {
    throw new DocumentError('BootFileNotFound', `boot file: '${rootFileSystem}' not found`);
  }
  return { kernel, rootFileSystem };
}

interface BuiltTopology {
  readonly topology: Topology;
  readonly numa: NumaTopology | undefined;
  readonly processorCount: number;
  readonly memorySizeInMB: bigint;
}

function buildTopology(context: BuildContext): BuiltTopology {
  const { options } = context;
  const processorCount = verifiedCount(context);
  const numa = prepareNuma(context);
  const memorySizeInMB = normaliseMemory(context);
  if (numa !== undefined) {
    fitNuma(numa, options, unsignedCount(processorCount), memorySizeInMB);
  }
  const topology: Writable<Topology> = {
    Memory: buildMemory(options, memorySizeInMB, numa === undefined ? undefined : numaSlitType),
    Processor: buildProcessor(options, processorCount, numa?.processors),
  };
  if (numa !== undefined) topology.Numa = numa.numa;
  return { topology, numa, processorCount, memorySizeInMB };
}

function buildDevices(
  context: BuildContext,
  root: RootFileSystem,
  virtualPci: Devices['VirtualPci'] | undefined,
): Devices {
  const { options } = context;
  const devices: Writable<Devices> = {};
  if (options.ConsolePipe !== '') devices.ComPorts = comPorts(options.ConsolePipe);
  if (context.scsiControllerCount > 0) devices.Scsi = buildScsi(context.scsiControllerCount, root.scsiDisk);
  if (options.VPMemDeviceCount > 0) devices.VirtualPMem = buildVirtualPMem(options, root.vpmemFile);
  if (options.EnableGraphicsConsole) {
    devices.VideoMonitor = {};
    devices.Keyboard = {};
  }
  devices.HvSocket = { HvSocketConfig: hvSocketConfig(options) };
  if (options.EnableGraphicsConsole) devices.EnhancedModeVideo = {};
  devices.Plan9 = {};
  if (virtualPci !== undefined) devices.VirtualPci = virtualPci;
  return devices;
}

/** Has no descriptor for connecting, unlike the SNP document (quirk 5). */
function hvSocketConfig(options: LinuxOptions): HvSocketConfig {
  const config: Writable<HvSocketConfig> = {
    DefaultBindSecurityDescriptor: SecurityDescriptor.SystemAndAdministrators,
  };
  const table = ordinaryServiceTable(options);
  if (table !== undefined) config.ServiceTable = table;
  return config;
}

function resourcePartition(context: BuildContext): string | undefined {
  const { ResourcePartitionID: id } = context.options;
  return context.switches?.writeResourcePartition === true && id !== undefined ? parseGuid(id) : undefined;
}
