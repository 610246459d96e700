// Decides whether the simulated HCS creates a compute system from a document: checks the document first, then whether
// the host can provide what it needs.
import { win32 } from 'node:path';
import { z } from 'zod';
import { HcsError, hresult } from '../../agent/node/hcs-error.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { type GuestBoot, readBootCommand, sealedBoot } from '../guest/boot-command.ts';
import type { SimulatedHostFile } from '../host-file.ts';
import { type ComputeSystemDocument, computeSystem } from './document-schema.ts';
import { parseExactJson } from './exact-json.ts';
import type { FileTable } from './file-table.ts';

const operation = 'HcsCreateComputeSystem';

/** HRESULTs that only a node returns. */
const refusals = {
  accessDenied: 0x8007_0005,
  fileNotFound: 0x8007_0002,
  invalidArgument: 0x8007_0057,
  featureMissing: 0x8037_0114,
} as const;

export interface Admitted {
  readonly document: ComputeSystemDocument;
  readonly memoryInMB: number;
  readonly boot: GuestBoot;
  readonly isConfidential: boolean;
  /** Files that the VM keeps open as long as it exists. */
  readonly openFiles: readonly string[];
}

export interface HostRoom {
  readonly host: SimulatedHostFile;
  readonly files: FileTable;
  readonly freeMemoryInMB: number;
}

/** Throws the HcsError of a refusal. */
export function admit(text: string, room: HostRoom): Admitted {
  const document = readDocument(text);
  const version = `${document.SchemaVersion?.Major}.${document.SchemaVersion?.Minor ?? 0}`;
  if (!/^2\.\d+$/.test(version)) refuse(hresult.invalidJson, `SchemaVersion ${version} is not supported`);
  const { boot, bootFiles, isConfidential } = readBoot(document, room.host);
  const openFiles = devicesFiles(document);
  checkFiles([...bootFiles, ...openFiles], room.files);
  checkGuestState(document, room.files);
  checkProcessors(document, room.host);
  const memoryInMB = checkMemory(document, room);
  return { document, memoryInMB, boot, isConfidential, openFiles };
}

export function readDocument(text: string): ComputeSystemDocument {
  const result = computeSystem.safeParse(parseOrRefuse(text));
  return result.success ? result.data : refuse(hresult.invalidJson, z.prettifyError(result.error));
}

function parseOrRefuse(text: string): unknown {
  try {
    return parseExactJson(text);
  } catch (error) {
    return refuse(hresult.invalidJson, messageOf(error));
  }
}

function refuse(code: number, detail: string): never {
  throw new HcsError(operation, code, detail);
}

interface BootPlan {
  readonly boot: GuestBoot;
  readonly bootFiles: readonly string[];
  readonly isConfidential: boolean;
}

/** The document has exactly one of the two boot entries, and the entry names its source (hcs-documents §6.12, §7.2). */
function readBoot(document: ComputeSystemDocument, host: SimulatedHostFile): BootPlan {
  const machine = document.VirtualMachine;
  const { Uefi: uefi, LinuxKernelDirect: direct } = machine?.Chipset ?? {};
  if ((uefi === undefined) === (direct === undefined)) {
    refuse(hresult.invalidJson, 'Chipset must have exactly one of Uefi and LinuxKernelDirect');
  }
  if (machine?.SecuritySettings?.Isolation?.IsolationType === 'SecureNestedPaging') {
    return confidentialBoot(document, host);
  }
  if (direct !== undefined) {
    const kernel = direct.KernelFilePath ?? refuse(hresult.invalidJson, 'LinuxKernelDirect.KernelFilePath is missing');
    const bootFiles = direct.InitRdPath === undefined ? [kernel] : [kernel, direct.InitRdPath];
    return { boot: readBootCommand(direct.KernelCmdLine ?? ''), bootFiles, isConfidential: false };
  }
  const entry = uefi?.BootThis ?? refuse(hresult.invalidJson, 'Uefi.BootThis is missing');
  const kernel = win32.join(entry.VmbFsRootPath ?? '', entry.DevicePath ?? '');
  return { boot: readBootCommand(entry.OptionalData ?? ''), bootFiles: [kernel], isConfidential: false };
}

function confidentialBoot(document: ComputeSystemDocument, host: SimulatedHostFile): BootPlan {
  if (!host.isolation.includes('SNP')) refuse(refusals.featureMissing, 'the host has no SNP isolation');
  const state = document.VirtualMachine?.GuestState?.GuestStateFilePath;
  const uefi = document.VirtualMachine?.Chipset?.Uefi;
  if (state === undefined) refuse(hresult.invalidJson, 'an isolated VM needs a GuestStateFilePath');
  if (uefi === undefined || uefi.BootThis !== undefined) {
    refuse(hresult.invalidJson, 'an isolated VM boots from its guest state file only');
  }
  return { boot: sealedBoot, bootFiles: [], isConfidential: true };
}

function devicesFiles(document: ComputeSystemDocument): readonly string[] {
  const devices = document.VirtualMachine?.Devices;
  const disks = Object.values(devices?.Scsi ?? {}).flatMap((controller) => Object.values(controller.Attachments ?? {}));
  const images = Object.values(devices?.VirtualPMem?.Devices ?? {});
  const paths = [
    document.VirtualMachine?.GuestState?.GuestStateFilePath,
    ...disks.filter((disk) => disk.Type === 'VirtualDisk').map((disk) => disk.Path),
    ...images.map((image) => image.HostPath),
  ];
  return paths.filter((path) => path !== undefined);
}

function checkFiles(paths: readonly string[], files: FileTable): void {
  for (const path of paths) {
    if (files.stat(path).kind === 'notFound') refuse(refusals.fileNotFound, `'${path}' not found`);
  }
}

/** The worker process of a VM opens the guest state file with the access of the VM group (hcs-documents §7.4). */
function checkGuestState(document: ComputeSystemDocument, files: FileTable): void {
  const path = document.VirtualMachine?.GuestState?.GuestStateFilePath;
  if (path !== undefined && !files.isGranted(path)) {
    refuse(refusals.accessDenied, `the VM group has no access to '${path}'`);
  }
}

function checkProcessors(document: ComputeSystemDocument, host: SimulatedHostFile): void {
  const count = document.VirtualMachine?.ComputeTopology?.Processor?.Count ?? 0;
  if (count < 1 || count > host.logicalProcessors) {
    refuse(refusals.invalidArgument, `Processor.Count ${count} is not between 1 and ${host.logicalProcessors}`);
  }
}

function checkMemory(document: ComputeSystemDocument, { freeMemoryInMB }: HostRoom): number {
  const { AllowOvercommit, SizeInMB: size = 0 } = document.VirtualMachine?.ComputeTopology?.Memory ?? {};
  if (size < 1) refuse(refusals.invalidArgument, 'Memory.SizeInMB must be at least 1');
  if (size > freeMemoryInMB) {
    // Memory that is backed by the page file is bounded by the commitment limit.
    const code = AllowOvercommit === true ? hresult.commitmentLimit : hresult.noSystemResources;
    refuse(code, `${size} MB of memory are wanted and ${freeMemoryInMB} MB are free`);
  }
  return Number(size);
}
