// Changes of a running system (hcs-runtime B.6). The resource path selects the change; its settings are parsed as
// strictly as a document. The guest's part is not handled here, because the agent owns the bridge.
import { z } from 'zod';
import { HcsError, hresult } from '../../agent/node/hcs-error.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { diskOf } from './attachments.ts';
import { attachment, hvSocketService, networkAdapter, plan9Share, virtualPciDevice } from './device-schema.ts';
import { cpuGroup } from './document-schema.ts';
import { parseExactJson } from './exact-json.ts';
import type { FileTable } from './file-table.ts';
import { u32, u64 } from './schema-kinds.ts';
import type { SimulatedSystem } from './system.ts';

const operation = 'HcsModifyComputeSystem';
const nullGroup = '00000000-0000-0000-0000-000000000000';

const change = z.strictObject({
  ResourcePath: z.string(),
  RequestType: z.enum(['Add', 'Remove', 'Update']).optional(),
  Settings: z.unknown().optional(),
});
type Change = z.infer<typeof change>;

export interface ChangeRoom {
  readonly files: FileTable;
  readonly freeMemoryInMB: number;
}

type Apply = (system: SimulatedSystem, request: Change, room: ChangeRoom, keys: readonly string[]) => void;

const limits = z.strictObject({
  Limit: u64.optional(),
  Weight: u64.optional(),
  Reservation: u64.optional(),
  MaximumFrequencyMHz: u32.optional(),
});
const mapping = z.strictObject({
  HostPath: z.string(),
  ReadOnly: z.boolean().optional(),
  ImageFormat: z.enum(['Vhd1', 'Vhdx']).optional(),
});

const machine = 'VirtualMachine/';
/** Path pattern and change. Groups of the pattern are the keys in the path. */
const changes: readonly (readonly [RegExp, Apply])[] = [
  [pathOf('ComputeTopology/Memory/SizeInMB'), setMemory],
  [pathOf('ComputeTopology/Processor/Limits'), setLimits],
  [pathOf('ComputeTopology/Processor/CpuGroup'), setGroup],
  [pathOf('Devices/Scsi/([^/]+)/Attachments/(\\d+)'), changeDisk],
  [pathOf('Devices/VirtualPMem/Devices/(\\d+)(?:/Mappings/(\\d+))?'), checkOnly(mapping)],
  [pathOf('Devices/NetworkAdapters/([^/]+)'), checkOnly(networkAdapter)],
  [pathOf('Devices/VirtualPci/([^/]+)'), checkOnly(virtualPciDevice)],
  [pathOf('Devices/Plan9/Shares'), changeShare],
  [pathOf('Devices/HvSocket/HvSocketConfig/ServiceTable/([^/]+)'), checkOnly(hvSocketService)],
];

/** Throws the HcsError of a refusal. */
export function applyChange(system: SimulatedSystem, text: string, room: ChangeRoom): void {
  system.requireRunning(operation);
  const request = read(change, parse(text));
  for (const [expression, apply] of changes) {
    const match = expression.exec(request.ResourcePath);
    if (match === null) continue;
    apply(system, request, room, match.slice(1));
    return;
  }
  refuse(hresult.invalidJson, `unknown ResourcePath ${request.ResourcePath}`);
}

function pathOf(rest: string): RegExp {
  return new RegExp(`^${machine}${rest}$`);
}

function checkOnly(schema: z.ZodType): Apply {
  return (_system, request) => {
    if (request.RequestType !== 'Remove') read(schema, request.Settings ?? {});
  };
}

function setMemory(system: SimulatedSystem, request: Change, room: ChangeRoom): void {
  const size = Number(read(u64, request.Settings));
  if (size - system.memoryInMB > room.freeMemoryInMB) {
    refuse(hresult.noSystemResources, `${size} MB of memory are wanted and ${room.freeMemoryInMB} MB are free`);
  }
  system.memoryInMB = size;
}

function setLimits(system: SimulatedSystem, request: Change): void {
  const given = Object.entries(read(limits, request.Settings ?? {}));
  system.processorLimits = Object.fromEntries(given.map(([name, value]) => [name, Number(value)]));
}

/** A system changes its group only by leaving it first (B.6). */
function setGroup(system: SimulatedSystem, request: Change): void {
  const { Id: id } = read(cpuGroup, request.Settings);
  const wanted = id === undefined || id === nullGroup ? undefined : id.toLowerCase();
  const isOther = wanted !== undefined && system.cpuGroup !== undefined && system.cpuGroup.toLowerCase() !== wanted;
  if (isOther) refuse(hresult.invalidState, 'a system must leave its processor group before it joins another');
  system.cpuGroup = wanted;
}

function changeDisk(system: SimulatedSystem, request: Change, room: ChangeRoom, keys: readonly string[]): void {
  const [controller = '', lun = ''] = keys;
  const cause =
    request.RequestType === 'Remove'
      ? system.attachments.remove(controller, Number(lun))
      : addDisk(system, request, room, controller, Number(lun));
  if (cause !== undefined) refuse(0x8007_0057, cause);
}

function addDisk(
  system: SimulatedSystem,
  request: Change,
  room: ChangeRoom,
  controller: string,
  lun: number,
): string | undefined {
  const settings = read(attachment, request.Settings);
  const disk = diskOf(settings);
  const isMissing = settings.Type === 'VirtualDisk' && room.files.stat(disk.path).kind !== 'file';
  if (isMissing) refuse(0x8007_0002, `'${disk.path}' not found`);
  return system.attachments.add(controller, lun, disk);
}

function changeShare(system: SimulatedSystem, request: Change, room: ChangeRoom): void {
  const { Flags: flags = 0, Name: name = '', Path: path = '' } = read(plan9Share, request.Settings);
  if (request.RequestType === 'Add' && room.files.stat(path).kind !== 'folder') {
    refuse(0x8007_0003, `'${path}' is not a folder`);
  }
  const cause = request.RequestType === 'Remove' ? system.shares.remove(name) : system.shares.add(name, path, flags);
  if (cause !== undefined) refuse(0x8007_0057, cause);
}

function parse(text: string): unknown {
  try {
    return parseExactJson(text);
  } catch (error) {
    return refuse(hresult.invalidJson, messageOf(error));
  }
}

function read<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  return result.success ? result.data : refuse(hresult.invalidJson, z.prettifyError(result.error));
}

function refuse(code: number, detail: string): never {
  throw new HcsError(operation, code, detail);
}
