// The changes that this host can request from a guest (hcs-runtime E.6, ModifySettings). Members are written in the
// original's order and left out when empty, as its encoder does. The order is data.

interface Settings {
  readonly MappedVirtualDisk: {
    readonly MountPath?: string;
    readonly Lun?: number;
    readonly Controller?: number;
    readonly Partition?: number;
    readonly ReadOnly?: boolean;
    readonly Encrypted?: boolean;
    readonly Options?: readonly string[];
    readonly BlockDev?: boolean;
    readonly EnsureFilesystem?: boolean;
    readonly Filesystem?: string;
  };
  readonly SCSIDevice: { readonly Controller?: number; readonly Lun?: number };
  readonly SecurityPolicy: {
    readonly EnforcerType?: string;
    readonly EncodedSecurityPolicy?: string;
    readonly EncodedUVMReference?: string;
    readonly EncodedUVMHashEnvelopeReference?: string;
  };
  readonly SecurityPolicyFragment: { readonly Fragment?: string; readonly MediaType?: string };
  readonly VPCIDevice: { readonly VMBusGUID?: string };
  readonly MappedDirectory: {
    readonly MountPath?: string;
    readonly Port?: number;
    readonly ShareName?: string;
    readonly ReadOnly?: boolean;
  };
  readonly VPMemDevice: {
    readonly DeviceNumber?: number;
    readonly MountPath?: string;
    readonly MappingInfo?: { readonly DeviceOffsetInBytes?: number; readonly DeviceSizeInBytes?: number };
  };
  readonly CombinedLayers: {
    readonly ContainerID?: string;
    readonly ContainerRootPath?: string;
    readonly Layers?: readonly { readonly Id?: string; readonly Path?: string }[];
    readonly ScratchPath?: string;
  };
  readonly Network: {
    readonly NamespaceID?: string;
    readonly ID?: string;
    readonly MacAddress?: string;
    readonly DNSSuffix?: string;
    readonly DNSServerList?: string;
    readonly EncapOverhead?: number;
    readonly VPCIAssigned?: boolean;
    readonly IPConfigs?: readonly { readonly IPAddress?: string; readonly PrefixLength?: number }[];
    readonly Routes?: readonly {
      readonly NextHop?: string;
      readonly DestinationPrefix?: string;
      readonly Metric?: number;
    }[];
    readonly PolicyBasedRouting?: boolean;
    readonly EnableLowMetric?: boolean;
  };
}

type ResourceType = keyof Settings;

const memberOrder: { readonly [R in ResourceType]: readonly (keyof Settings[R])[] } = {
  MappedVirtualDisk: [
    'MountPath',
    'Lun',
    'Controller',
    'Partition',
    'ReadOnly',
    'Encrypted',
    'Options',
    'BlockDev',
    'EnsureFilesystem',
    'Filesystem',
  ],
  SCSIDevice: ['Controller', 'Lun'],
  SecurityPolicy: ['EnforcerType', 'EncodedSecurityPolicy', 'EncodedUVMReference', 'EncodedUVMHashEnvelopeReference'],
  SecurityPolicyFragment: ['Fragment', 'MediaType'],
  VPCIDevice: ['VMBusGUID'],
  MappedDirectory: ['MountPath', 'Port', 'ShareName', 'ReadOnly'],
  VPMemDevice: ['DeviceNumber', 'MountPath', 'MappingInfo'],
  CombinedLayers: ['ContainerID', 'ContainerRootPath', 'Layers', 'ScratchPath'],
  Network: [
    'NamespaceID',
    'ID',
    'MacAddress',
    'DNSSuffix',
    'DNSServerList',
    'EncapOverhead',
    'VPCIAssigned',
    'IPConfigs',
    'Routes',
    'PolicyBasedRouting',
    'EnableLowMetric',
  ],
};

/** The order of members inside nested objects and lists of objects. */
const innerOrder: ReadonlyMap<string, readonly string[]> = new Map([
  ['MappingInfo', ['DeviceOffsetInBytes', 'DeviceSizeInBytes']],
  ['Layers', ['Id', 'Path']],
  ['IPConfigs', ['IPAddress', 'PrefixLength']],
  ['Routes', ['NextHop', 'DestinationPrefix', 'Metric']],
]);

type Change<R extends ResourceType, K extends 'Add' | 'Remove'> = {
  readonly resourceType: R;
  readonly requestType: K;
  readonly settings: Settings[R];
};

export type GuestModification =
  | Change<'MappedVirtualDisk', 'Add' | 'Remove'>
  | Change<'SCSIDevice', 'Remove'>
  | Change<'SecurityPolicy', 'Add'>
  | Change<'SecurityPolicyFragment', 'Add'>
  | Change<'VPCIDevice', 'Add'>
  | Change<'MappedDirectory', 'Add' | 'Remove'>
  | Change<'VPMemDevice', 'Add' | 'Remove'>
  | Change<'CombinedLayers', 'Add' | 'Remove'>
  | Change<'Network', 'Add' | 'Remove'>
  | { readonly resourceType: 'PodCgroupMemoryLimit'; readonly requestType: 'Update' };

/** The `Request` member of the message. */
export function modificationRequest(modification: GuestModification): Readonly<Record<string, unknown>> {
  const request = { RequestType: modification.requestType, ResourceType: modification.resourceType };
  if (modification.resourceType === 'PodCgroupMemoryLimit') return request;
  return { ...request, Settings: inOrder(modification.settings, memberOrder[modification.resourceType]) };
}

function inOrder(settings: object, order: readonly string[]): object {
  const given = new Map<string, unknown>(Object.entries(settings));
  const members = order.map((name) => [name, given.get(name)] as const).filter(([, value]) => hasValue(value));
  return Object.fromEntries(members.map(([name, value]) => [name, innerValue(value, innerOrder.get(name))]));
}

function innerValue(value: unknown, order: readonly string[] | undefined): unknown {
  if (order === undefined || typeof value !== 'object' || value === null) return value;
  return Array.isArray(value) ? value.map((item) => innerValue(item, order)) : inOrder(value, order);
}

function hasValue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return value !== undefined && value !== 0 && value !== false && value !== '';
}
