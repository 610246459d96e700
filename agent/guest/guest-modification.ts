// The changes that a guest can be asked for (hcs-runtime E.6, ModifySettings). Members are written in the order of the
// original and left out when they have no value, as its encoder does; the order is data.

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
};

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
  | { readonly resourceType: 'PodCgroupMemoryLimit'; readonly requestType: 'Update' };

/** The `Request` member of the message. */
export function modificationRequest(modification: GuestModification): Readonly<Record<string, unknown>> {
  const request = { RequestType: modification.requestType, ResourceType: modification.resourceType };
  if (modification.resourceType === 'PodCgroupMemoryLimit') return request;
  const given = new Map<string, unknown>(Object.entries(modification.settings));
  const order: readonly string[] = memberOrder[modification.resourceType];
  const members = order.map((name) => [name, given.get(name)] as const).filter(([, value]) => hasValue(value));
  return { ...request, Settings: Object.fromEntries(members) };
}

function hasValue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return value !== undefined && value !== 0 && value !== false && value !== '';
}
