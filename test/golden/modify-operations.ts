// The operations of hcs-modify.json (README.md) in terms of the agent's own. Preparations that a case only names (what was
// attached before) are made on a target whose requests are not kept.
import { z } from 'zod';
import { type Uint64, uint64 } from '../../agent/document/json-numbers.ts';
import {
  applyChange,
  askGuest,
  type ChangeTarget,
  type GuestRequestJson,
  type HostModification,
  modifyDocument,
} from '../../agent/modification/document.ts';
import { hvSocketServiceRemove, hvSocketServiceUpdate } from '../../agent/modification/hvsocket-services.ts';
import {
  adapterChange,
  addAdapter,
  guestAdapterChange,
  managedAdapterChange,
  removeAdapter,
} from '../../agent/modification/network-adapters.ts';
import { Plan9Shares, plan9Change } from '../../agent/modification/plan9.ts';
import { resourceUpdate, updateResources } from '../../agent/modification/resource-update.ts';
import { scsiAttach, scsiDetach } from '../../agent/modification/scsi.ts';
import { extensibleDisk, ScsiDisks } from '../../agent/modification/scsi-disks.ts';
import {
  leaveProcessorGroup,
  memorySizeOfBytes,
  processorGroup,
  processorLimits,
  processorLimitsOn,
  unroundedMemorySize,
} from '../../agent/modification/topology.ts';
import { PciDevices, vpciAdd, vpciRemove } from '../../agent/modification/vpci.ts';
import { PackedImages, SingleImages, vpmemAdd, vpmemRemove } from '../../agent/modification/vpmem.ts';

/** Both ends, and the access to files that comes before them. */
export interface Ends extends ChangeTarget {
  /** What the guest is asked for, as it is. */
  readonly raw: ChangeTarget<GuestRequestJson>;
  grantAccess(vmId: string, path: string): void;
}

export interface Circumstances {
  readonly build: number;
  readonly refusesWritableShares: boolean;
  fileSize(path: string): number;
}

type Input = Readonly<Record<string, unknown>>;
type Operation = (input: Input, ends: Ends, circumstances: Circumstances) => Promise<void>;

const systemID = 'vm-1';
const pmemLimits = { maximumCount: 64, maximumSizeBytes: 2 ** 32 };
const scsiControllers = 4;
const cpuGroupAnnotation = 'io.microsoft.virtualmachine.cpugroup.id';
const silent: ChangeTarget = { host: async () => undefined, guest: async () => undefined };

/** A rollback that fails too is only logged by the original. */
function undoFailed(): void {}

const bigNumber = z.union([z.int(), z.bigint()]).transform((value) => BigInt(value));
const exact = bigNumber.transform((value): Uint64 => uint64(BigInt.asUintN(64, value)));
const slot = { controller: z.int(), lun: z.int() };
const diskType = z.enum(['VirtualDisk', 'PassThru', 'ExtensibleVirtualDisk']);
const isManager = (input: Input) => input.api === 'manager';

async function toHost(ends: ChangeTarget, modification: HostModification): Promise<void> {
  await ends.host(modifyDocument(modification));
}

const limitsMembers = z
  .object({
    Limit: exact.optional(),
    Weight: exact.optional(),
    Reservation: exact.optional(),
    MaximumFrequencyMHz: z.int().optional(),
  })
  .transform(({ Limit, MaximumFrequencyMHz, Reservation, Weight }) => ({
    ...(Limit !== undefined && { limit: Limit }),
    ...(Weight !== undefined && { weight: Weight }),
    ...(Reservation !== undefined && { reservation: Reservation }),
    ...(MaximumFrequencyMHz !== undefined && { maximumFrequencyMHz: MaximumFrequencyMHz }),
  }));

const topology = {
  async memory(input, ends) {
    if (isManager(input)) await toHost(ends, unroundedMemorySize(exact.parse(input.sizeInMB)));
    else await toHost(ends, memorySizeOfBytes(bigNumber.parse(input.sizeInBytes)));
  },
  async cpuLimits(input, ends, { build }) {
    const limits = limitsMembers.parse(input.limits);
    await toHost(ends, isManager(input) ? processorLimits(limits) : processorLimitsOn(build, limits));
  },
  async cpuGroup(input, ends) {
    if (input.release === true) await leaveProcessorGroup(systemID, ends);
    else await toHost(ends, processorGroup(z.string().parse(input.id)));
  },
  async update(input, ends, { build }) {
    const memory = z.object({ limit: bigNumber.optional() }).optional();
    const cpu = z
      .object({ maximum: bigNumber.optional(), quota: bigNumber.optional(), shares: bigNumber.optional() })
      .optional();
    const sections = z.object({ memory, cpu }).optional();
    const { annotations, later, linux, windows } = z
      .object({
        windows: sections,
        linux: sections,
        annotations: z.record(z.string(), z.string()).default({}),
        later: z.boolean().default(false),
      })
      .parse(input);
    const asked = linux ?? windows;
    const limit = linux === undefined ? asked?.cpu?.maximum : asked?.cpu?.quota;
    const resources = {
      memoryLimit: asked?.memory?.limit,
      cpu: asked?.cpu && { limit, shares: asked.cpu.shares },
    };
    const wanted = resourceUpdate(resources, annotations[cpuGroupAnnotation]);
    await updateResources(wanted, { build, refreshesGuest: later }, ends);
  },
} satisfies Record<string, Operation>;

const mountMembers = z.object({
  partition: z.int().exactOptional(),
  encrypted: z.boolean().exactOptional(),
  options: z.array(z.string()).exactOptional(),
  blockDev: z.boolean().optional(),
  ensureFilesystem: z.boolean().exactOptional(),
  filesystem: z.string().exactOptional(),
});

const disks = {
  async scsiAttach(input, ends) {
    const attachment = z.object({ ...slot, type: diskType, path: z.string(), readOnly: z.boolean() }).parse(input);
    await toHost(ends, scsiAttach(attachment));
  },
  async scsiDetach(input, ends) {
    await toHost(ends, scsiDetach(z.object(slot).parse(input)));
  },
  async scsiDisk(input, ends) {
    const { grantTo, guestPath, mount, path, readOnly, reserved, times, type } = z
      .object({
        path: z.string(),
        readOnly: z.boolean(),
        type: diskType.default('VirtualDisk'),
        guestPath: z.string().optional(),
        grantTo: z.string().optional(),
        reserved: z.array(z.tuple([z.int(), z.int()])).default([]),
        times: z.int().default(1),
        mount: mountMembers.nullable(),
      })
      .parse(input);
    const source = type === 'ExtensibleVirtualDisk' ? extensibleDisk(path, readOnly) : { type, path, readOnly };
    const { blockDev, ...how } = mount ?? {};
    const wanted = mount && {
      ...how,
      readOnly,
      ...(blockDev !== undefined && { blockDevice: blockDev }),
      ...(guestPath !== undefined && { guestPath }),
    };
    const taken = reserved.map(([controller, lun]) => ({ controller, lun }));
    const manager = new ScsiDisks(scsiControllers, taken, undoFailed);
    if (grantTo !== undefined) ends.grantAccess(grantTo, path);
    const uses = [];
    for (let time = 0; time < times; time += 1) uses.push(await manager.add(source, wanted ?? undefined, ends));
    for (const use of uses) await manager.release(use, ends);
  },
} satisfies Record<string, Operation>;

function images(input: Input): SingleImages | PackedImages {
  return input.packed === true
    ? new PackedImages(pmemLimits, systemID, undoFailed)
    : new SingleImages(pmemLimits, systemID, undoFailed);
}

const paths = z.array(z.string()).default([]);

const memoryDevices = {
  async vpmemAdd(input, ends, { fileSize }) {
    if (isManager(input)) {
      const { device, path } = z.object({ device: z.int(), path: z.string() }).parse(input);
      return await toHost(ends, vpmemAdd(device, path));
    }
    const { add, added, paths: shown } = z.object({ add: z.string().optional(), added: paths, paths }).parse(input);
    const manager = images(input);
    const image = (path: string) => ({ path, sizeInBytes: fileSize(path) });
    for (const path of added) await manager.add(image(path), silent);
    for (const path of add === undefined ? shown : [...shown, add]) await manager.add(image(path), ends);
  },
  async vpmemRemove(input, ends, { fileSize }) {
    if (isManager(input)) return await toHost(ends, vpmemRemove(z.int().parse(input.device)));
    const { added, remove } = z.object({ added: paths, remove: z.string() }).parse(input);
    const manager = images(input);
    for (const path of added) await manager.add({ path, sizeInBytes: fileSize(path) }, silent);
    await manager.remove(remove, ends);
  },
} satisfies Record<string, Operation>;

const adapterSettings = z
  .object({
    EndpointId: z.string().optional(),
    MacAddress: z.string().optional(),
    IovSettings: z
      .object({
        OffloadWeight: z.int().nullish(),
        QueuePairsRequested: z.int().nullish(),
        InterruptModeration: z.union([z.string(), z.int()]).nullish(),
      })
      .transform((iov) => ({
        offloadWeight: iov.OffloadWeight ?? undefined,
        queuePairsRequested: iov.QueuePairsRequested ?? undefined,
        interruptModeration: iov.InterruptModeration ?? undefined,
      }))
      .nullish(),
  })
  .transform(({ EndpointId, IovSettings, MacAddress }) => ({
    endpointId: EndpointId,
    macAddress: MacAddress,
    iov: IovSettings ?? undefined,
  }))
  .nullish()
  .transform((settings) => settings ?? undefined);

const endpoint = z
  .object({
    id: z.string().default(''),
    mac: z.string().default(''),
    namespace: z.string().default(''),
    encapOverhead: z.int().default(0),
    dns: z
      .object({ domain: z.string().default(''), search: paths, servers: paths })
      .default({ domain: '', search: [], servers: [] }),
    ips: z.array(z.object({ address: z.string(), prefix: z.int() })).default([]),
    routes: z
      .array(
        z.object({
          nextHop: z.string().default(''),
          destination: z.string().default(''),
          metric: z.int().default(0),
        }),
      )
      .default([]),
  })
  .transform(({ dns, encapOverhead, id, ips, mac, namespace, routes }) => ({
    id,
    macAddress: mac,
    namespaceId: namespace,
    dns,
    encapOverhead,
    addresses: ips.map(({ address, prefix }) => ({ address, prefixLength: prefix })),
    routes,
  }));

const guestAdapter = z.object({
  NamespaceID: z.string().exactOptional(),
  ID: z.string().exactOptional(),
  MacAddress: z.string().exactOptional(),
  DNSSuffix: z.string().exactOptional(),
  DNSServerList: z.string().exactOptional(),
  EncapOverhead: z.int().exactOptional(),
  VPCIAssigned: z.boolean().exactOptional(),
  IPConfigs: z
    .array(z.object({ IPAddress: z.string().exactOptional(), PrefixLength: z.int().exactOptional() }))
    .exactOptional(),
  Routes: z
    .array(
      z.object({
        NextHop: z.string().exactOptional(),
        DestinationPrefix: z.string().exactOptional(),
        Metric: z.int().exactOptional(),
      }),
    )
    .exactOptional(),
  PolicyBasedRouting: z.boolean().exactOptional(),
  EnableLowMetric: z.boolean().exactOptional(),
});

function guestOf(input: Input) {
  return {
    hasNamespaces: input.guestNamespaces !== false,
    policyBasedRouting: input.policyBasedRouting === true,
  };
}

const connect: Operation = async (input, ends) => {
  const nicId = z.string().parse(input.nicId);
  const [request, change] =
    input.op === 'nicAdd' ? (['Add', addAdapter] as const) : (['Remove', removeAdapter] as const);
  if (isManager(input)) {
    await toHost(ends, managedAdapterChange(request, nicId, adapterSettings.parse(input.settings)));
  } else {
    await applyChange(change(nicId, endpoint.parse(input.endpoint), guestOf(input)), ends, undoFailed);
  }
};

const inGuest: Operation = async (input, ends) => {
  const request = input.op === 'nicInGuestAdd' ? 'Add' : 'Remove';
  await applyChange(guestAdapterChange(request, guestAdapter.parse(input.adapter), guestOf(input)), ends, undoFailed);
};

const network = {
  nicAdd: connect,
  nicRemove: connect,
  async nicUpdate(input, ends) {
    const change = isManager(input) ? managedAdapterChange : adapterChange;
    await toHost(ends, change('Update', z.string().parse(input.nicId), adapterSettings.parse(input.settings)));
  },
  nicInGuestAdd: inGuest,
  nicInGuestRemove: inGuest,
} satisfies Record<string, Operation>;

const pciDevice = z
  .object({ device: z.string(), function: z.int() })
  .transform((input) => ({ deviceInstanceID: input.device, virtualFunctionIndex: input.function }));

const pci = {
  async vpciAdd(input, ends, { build }) {
    const { removedTimes, times, vmbusGuid } = z
      .object({ vmbusGuid: z.string(), times: z.int().default(1), removedTimes: z.int().default(0) })
      .parse(input);
    const device = pciDevice.parse(input);
    // The newer manager sends what it is given, which says nothing of NUMA.
    if (isManager(input)) return await toHost(ends, vpciAdd(vmbusGuid, device, 0));
    const devices = new PciDevices(systemID, build, undoFailed);
    for (let time = 0; time < times; time += 1) await devices.add(device, vmbusGuid, ends);
    for (let time = 0; time < removedTimes; time += 1) await devices.remove(device, ends);
  },
  async vpciRemove(input, ends, { build }) {
    if (input.device === undefined) return await toHost(ends, vpciRemove(z.string().parse(input.vmbusGuid)));
    await new PciDevices(systemID, build, undoFailed).remove(pciDevice.parse(input), ends);
  },
} satisfies Record<string, Operation>;

/** What was shared before is at /run/a, /run/b and so on. */
async function sharesBefore(input: Input, { build, refusesWritableShares }: Circumstances) {
  const shares = new Plan9Shares({ build, refusesWritable: refusesWritableShares }, undoFailed);
  const mounted = [];
  for (let index = 0; index < z.int().default(0).parse(input.added); index += 1) {
    const letter = String.fromCharCode('a'.charCodeAt(0) + index);
    const share = { hostPath: `C:\\${letter}`, guestPath: `/run/${letter}`, readOnly: true };
    mounted.push(await shares.add(share, silent));
  }
  return { shares, mounted };
}

const managedShare = z
  .object({
    Name: z.string().default(''),
    AccessName: z.string().default(''),
    Path: z.string().default(''),
    Port: z.int().default(0),
    Flags: z.int().default(0),
    AllowedFiles: paths,
  })
  .transform((share) => ({
    name: share.Name,
    accessName: share.AccessName,
    path: share.Path,
    port: share.Port,
    flags: share.Flags,
    allowedFiles: share.AllowedFiles,
  }));

const plan9 = {
  async plan9Add(input, ends, circumstances) {
    if (isManager(input)) return await toHost(ends, plan9Change('Add', managedShare.parse(input.settings)));
    const { allowed, guestPath, hostPath, readOnly, restrict } = z
      .object({
        hostPath: z.string(),
        guestPath: z.string(),
        readOnly: z.boolean(),
        restrict: z.boolean(),
        allowed: z.array(z.string()).nullable(),
      })
      .parse(input);
    const { shares } = await sharesBefore(input, circumstances);
    await shares.add({ hostPath, guestPath, readOnly, onlyFiles: restrict ? (allowed ?? []) : undefined }, ends);
  },
  async plan9Remove(input, ends, circumstances) {
    if (isManager(input)) return await toHost(ends, plan9Change('Remove', managedShare.parse(input.settings)));
    const { mounted, shares } = await sharesBefore(input, circumstances);
    const share = mounted.find(({ guestPath }) => guestPath === input.guestPath);
    if (share === undefined) throw new Error('the case names no share that was added');
    await shares.remove(share, ends);
  },
} satisfies Record<string, Operation>;

const hvSocketConfig = z
  .object({
    BindSecurityDescriptor: z.string().default(''),
    ConnectSecurityDescriptor: z.string().default(''),
    AllowWildcardBinds: z.boolean().default(false),
    Disabled: z.boolean().default(false),
  })
  .transform((config) => ({
    bindSecurityDescriptor: config.BindSecurityDescriptor,
    connectSecurityDescriptor: config.ConnectSecurityDescriptor,
    allowWildcardBinds: config.AllowWildcardBinds,
    disabled: config.Disabled,
  }))
  .nullable()
  .transform((config) => config ?? undefined);

const others = {
  async hvsocketUpdate(input, ends) {
    await toHost(ends, hvSocketServiceUpdate(z.string().parse(input.serviceId), hvSocketConfig.parse(input.config)));
  },
  async hvsocketRemove(input, ends) {
    await toHost(ends, hvSocketServiceRemove(z.string().parse(input.serviceId)));
  },
  async guestRequest(input, ends) {
    await askGuest(z.record(z.string(), z.unknown()).parse(input.request), ends.raw);
  },
} satisfies Record<string, Operation>;

const operations: Readonly<Record<string, Operation>> = {
  ...topology,
  ...disks,
  ...memoryDevices,
  ...network,
  ...pci,
  ...plan9,
  ...others,
};

/** Rejects with the refusal of an end or of the agent itself; throws for an operation that is not known. */
export async function makeChange(input: Input, ends: Ends, circumstances: Circumstances): Promise<void> {
  const operation = operations[z.string().parse(input.op)];
  if (operation === undefined) throw new Error(`the operation ${String(input.op)} is not known`);
  await operation(input, ends, circumstances);
}
