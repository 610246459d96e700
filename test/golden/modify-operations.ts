// The operations of hcs-modify.json (README.md) in terms of the agent's own; undefined for those that it does not have.
import { z } from 'zod';
import { uint64 } from '../../agent/document/json-numbers.ts';
import {
  hvSocketServiceRemove,
  hvSocketServiceUpdate,
  vpciAdd,
  vpciRemove,
  vpmemAdd,
  vpmemRemove,
} from '../../agent/hcs/modify/devices.ts';
import {
  addWithGuest,
  type ChangeTarget,
  type HostModification,
  modifyDocument,
} from '../../agent/hcs/modify/document.ts';
import { attachDisk, detachDisk, type ScsiDisk, scsiAttach, scsiDetach } from '../../agent/hcs/modify/scsi.ts';
import {
  memorySize,
  nullGroup,
  processorGroup,
  processorLimits,
  processorLimitsSince,
} from '../../agent/hcs/modify/topology.ts';
import { firstFreeSlot } from '../../agent/scsi-slots.ts';

export type Change = (target: ChangeTarget) => Promise<void>;
type Input = Readonly<Record<string, unknown>>;

const exact = z.union([z.int(), z.bigint()]).transform((value) => uint64(BigInt(value)));
const slot = { controller: z.int(), lun: z.int() };

/** Sent to the host alone. */
const hostOnly: Readonly<Record<string, (input: Input, build: number) => HostModification>> = {
  memory: (input) => {
    const { sizeInBytes } = z.object({ sizeInBytes: z.int() }).parse(input);
    return memorySize(Math.floor(sizeInBytes / 2 ** 20));
  },
  cpuLimits: (input, build) => {
    if (build < processorLimitsSince && input.api !== 'manager') throw new Error('not implemented');
    const member = exact.exactOptional();
    const { limits } = z
      .object({
        limits: z.object({
          Limit: member,
          Weight: member,
          Reservation: member,
          MaximumFrequencyMHz: z.int().exactOptional(),
        }),
      })
      .parse(input);
    return processorLimits({
      ...(limits.Limit !== undefined && { limit: limits.Limit }),
      ...(limits.Weight !== undefined && { weight: limits.Weight }),
      ...(limits.Reservation !== undefined && { reservation: limits.Reservation }),
      ...(limits.MaximumFrequencyMHz !== undefined && { maximumFrequencyMHz: limits.MaximumFrequencyMHz }),
    });
  },
  cpuGroup: (input) => processorGroup(input.release === true ? nullGroup : z.string().parse(input.id)),
  scsiAttach: (input) =>
    scsiAttach(
      z.object({ ...slot, type: z.literal('VirtualDisk'), path: z.string(), readOnly: z.boolean() }).parse(input),
    ),
  scsiDetach: (input) => scsiDetach(z.object(slot).parse(input)),
  vpmemAdd: (input) => {
    const { device, path } = z.object({ device: z.int(), path: z.string() }).parse(input);
    return vpmemAdd(device, path);
  },
  vpmemRemove: (input) => vpmemRemove(z.object({ device: z.int() }).parse(input).device),
  vpciRemove: (input) => vpciRemove(z.object({ vmbusGuid: z.string() }).parse(input).vmbusGuid),
  hvsocketUpdate: (input) => {
    const { config, serviceId } = z.object({ serviceId: z.string(), config: hvSocketConfig }).parse(input);
    return hvSocketServiceUpdate(serviceId, config);
  },
  hvsocketRemove: (input) => hvSocketServiceRemove(z.object({ serviceId: z.string() }).parse(input).serviceId),
};

const hvSocketConfig = z
  .object({
    BindSecurityDescriptor: z.string().exactOptional(),
    ConnectSecurityDescriptor: z.string().exactOptional(),
    AllowWildcardBinds: z.boolean().exactOptional(),
    Disabled: z.boolean().exactOptional(),
  })
  .transform((config) => ({
    ...(config.BindSecurityDescriptor !== undefined && { bindSecurityDescriptor: config.BindSecurityDescriptor }),
    ...(config.ConnectSecurityDescriptor !== undefined && {
      connectSecurityDescriptor: config.ConnectSecurityDescriptor,
    }),
    ...(config.AllowWildcardBinds !== undefined && { allowWildcardBinds: config.AllowWildcardBinds }),
    ...(config.Disabled !== undefined && { disabled: config.Disabled }),
  }));

/** What the agent has no use for: the newer manager's unrounded memory, sharing and counting, guest requests it lacks. */
function isLeftOut(input: Input): boolean {
  const { op } = input;
  if (op === 'memory') return input.api === 'manager';
  if (op === 'cpuGroup') return input.hostFails === true;
  if (op === 'scsiDisk') return input.times !== undefined || String(input.path).startsWith('evd:');
  if (op === 'vpmemAdd' || op === 'vpmemRemove') return input.api !== 'manager';
  if (op === 'vpciAdd') return input.times !== undefined || input.api === 'manager';
  if (op === 'vpciRemove') return input.vmbusGuid === undefined;
  if (op === 'hvsocketUpdate') return input.config === null;
  return false;
}

export function changeOf(input: Input, build: number): Change | undefined {
  const op = z.string().parse(input.op);
  if (isLeftOut(input)) return undefined;
  if (op === 'scsiDisk') return attachAndRelease(input);
  if (op === 'vpciAdd') return assignDevice(input, build);
  const modification = hostOnly[op];
  if (modification === undefined) return undefined;
  return async (target) => target.host(modifyDocument(modification(input, build)));
}

const scsiDisk = z.object({
  path: z.string(),
  readOnly: z.boolean(),
  type: z.enum(['VirtualDisk', 'PassThru']).default('VirtualDisk'),
  guestPath: z.string().default('/run/mounts/scsi/m0'),
  reserved: z.array(z.tuple([z.int(), z.int()])).default([]),
  mount: z
    .object({
      partition: z.int().exactOptional(),
      encrypted: z.boolean().exactOptional(),
      options: z.array(z.string()).exactOptional(),
      ensureFilesystem: z.boolean().exactOptional(),
      filesystem: z.string().exactOptional(),
    })
    .nullable(),
});

function attachAndRelease(input: Input): Change {
  const { guestPath, mount, path, readOnly, reserved, type } = scsiDisk.parse(input);
  const taken = reserved.map(([controller, lun]) => ({ controller, lun }));
  const free = firstFreeSlot(4, taken);
  if (free === undefined) throw new Error('no slot is free');
  const disk: ScsiDisk = {
    attachment: { ...free, type, path, readOnly },
    mount: mount === null ? undefined : { ...mount, guestPath, readOnly },
  };
  return async (target) => {
    await attachDisk(disk, target, (error) => {
      throw error;
    });
    await detachDisk(disk, target);
  };
}

function assignDevice(input: Input, build: number): Change {
  const { device, vmbusGuid, ...rest } = z
    .object({ device: z.string(), vmbusGuid: z.string(), function: z.int() })
    .parse(input);
  const addition = vpciAdd(vmbusGuid, { deviceInstanceID: device, virtualFunctionIndex: rest.function }, build);
  const asked = { resourceType: 'VPCIDevice', requestType: 'Add', settings: { VMBusGUID: vmbusGuid } } as const;
  return (target) =>
    addWithGuest(addition, asked, target, (error) => {
      throw error;
    });
}
