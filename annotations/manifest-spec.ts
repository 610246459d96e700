// The spec of a LinuxUtilityVM that asks for what the annotations ask for. It must give the same document on the same
// host. The rules of the CRD between fields hold by construction: where two options contradict each other, hcsshim
// ignores one of them, and so does this module.
import { base64Error } from '../agent/document/base64.ts';
import { RootFsType } from '../agent/document/options.ts';
import { absolutePath } from '../agent/document/windows-paths.ts';
import { inlinePolicyChars } from '../crds/spec/confidential.ts';
import { Fields } from './fields.ts';
import type { GivenOptions } from './given.ts';
import { Key } from './keys.ts';
import type { Remark } from './remarks.ts';

export interface ManifestSpec {
  readonly spec: Readonly<Record<string, unknown>>;
  readonly remarks: readonly Remark[];
}

/** @param policyName the ConfigMap for a policy that is too long for the manifest */
export function manifestSpec(
  given: GivenOptions,
  annotations: ReadonlyMap<string, string>,
  policyName: string,
): ManifestSpec {
  const fields = new Fields(given, annotations);
  const policy = policyOf(given);
  memory(fields, policy);
  processor(fields);
  numa(fields, policy);
  boot(fields, policy);
  storage(fields, policy);
  devices(fields);
  services(fields);
  guest(fields);
  confidential(fields, policy, policyName);
  return { spec: fields.spec, remarks: fields.remarks };
}

/** `isolated`: the VM boots from its guest state file. */
type Policy = 'none' | 'sent' | 'isolated';

function policyOf({ NoSecurityHardware, SecurityPolicy }: GivenOptions): Policy {
  if (SecurityPolicy === undefined || SecurityPolicy === '') return 'none';
  return NoSecurityHardware === true ? 'sent' : 'isolated';
}

const sealed = 'the security policy overrides it';

function memory(fields: Fields, policy: Policy): void {
  const { AllowOvercommit, FullyPhysicallyBacked } = fields.given;
  fields.copy('MemorySizeInMB', 'memory.sizeInMB');
  if (policy === 'isolated') {
    if (AllowOvercommit === true) fields.remarkOnOptions(['AllowOvercommit'], sealed);
  } else if (FullyPhysicallyBacked === true && AllowOvercommit === true) {
    fields.remarkOnOptions(['AllowOvercommit'], `${Key.FullyPhysicallyBacked} overrides it`);
  } else fields.copy('AllowOvercommit', 'memory.allowOvercommit');
  fields.copy('FullyPhysicallyBacked', 'memory.fullyPhysicallyBacked');
  fields.copy('EnableDeferredCommit', 'memory.enableDeferredCommit');
  fields.copy('EnableColdDiscardHint', 'memory.enableColdDiscardHint');
  fields.copy('LowMMIOGapInMB', 'memory.lowMMIOGapInMB');
  fields.copy('HighMMIOBaseInMB', 'memory.highMMIOBaseInMB');
  fields.copy('HighMMIOGapInMB', 'memory.highMMIOGapInMB');
}

function processor(fields: Fields): void {
  fields.copy('ProcessorCount', 'processor.count');
  fields.copy('ProcessorLimit', 'processor.limit');
  fields.copy('ProcessorWeight', 'processor.weight');
  fields.copyText('CPUGroupID', 'processor.cpuGroupID');
  fields.copy('ResourcePartitionID', 'resourcePartitionID');
}

const implicitNuma = ['MaxProcessorsPerNumaNode', 'MaxMemorySizePerNumaNode'] as const;
const explicitNuma = ['NumaMappedPhysicalNodes', 'NumaProcessorCounts', 'NumaMemoryBlocksCounts'] as const;

function numa(fields: Fields, policy: Policy): void {
  const { given } = fields;
  const nodes = given.NumaMappedPhysicalNodes ?? [];
  const isImplicit = (given.MaxProcessorsPerNumaNode ?? 0) > 0;
  if (policy === 'isolated' || (!isImplicit && nodes.length === 0)) {
    const reason = policy === 'isolated' ? 'an isolated VM has no vNUMA' : `it has no effect without ${numaSwitches}`;
    fields.remarkOnOptions([...implicitNuma, ...explicitNuma, 'PreferredPhysicalNumaNodes'], reason);
    return;
  }
  if (isImplicit) {
    fields.set(Key.MaxProcessorsPerNumaNode, 'numa', {
      maxProcessorsPerNode: given.MaxProcessorsPerNumaNode,
      maxMemoryPerNodeInMB: given.MaxMemorySizePerNumaNode,
    });
    fields.remarkOnOptions(explicitNuma, `${Key.MaxProcessorsPerNumaNode} overrides it`);
  } else {
    fields.set(Key.NumaMappedPhysicalNodes, 'numa.nodes', numaNodes(given));
    fields.remarkOnOptions(implicitNuma, `${Key.NumaMappedPhysicalNodes} overrides it`);
  }
  fields.copy('PreferredPhysicalNumaNodes', 'numa.preferredPhysicalNodes');
}

/** The lists are equally long, or hcsshim would have refused them. */
function numaNodes(given: GivenOptions): readonly object[] {
  return (given.NumaMappedPhysicalNodes ?? []).map((physicalNode, index) => ({
    physicalNode,
    processors: given.NumaProcessorCounts?.[index],
    memoryInMB: given.NumaMemoryBlocksCounts?.[index],
  }));
}
const numaSwitches = `${Key.MaxProcessorsPerNumaNode} or ${Key.NumaMappedPhysicalNodes}`;

const rootTypes: ReadonlyMap<number | undefined, string> = new Map([
  [RootFsType.InitRd, 'InitRd'],
  [RootFsType.Vhd, 'VHD'],
]);

function boot(fields: Fields, policy: Policy): void {
  const { BootFilesPath: folder, DmVerityMode, DmVerityCreateArgs } = fields.given;
  fields.set(Key.BootFilesPath, 'boot.filesPath', isAbsolute(folder) ? absolutePath(folder, 'C:\\') : folder);
  fields.copy('KernelDirect', 'boot.kernelDirect');
  fields.copy('WritableOverlayDirs', 'boot.writableOverlayDirs');
  fields.copyText('DmVerityCreateArgs', 'boot.dmVerityCreateArgs');
  if (policy === 'isolated') {
    fields.remarkOnOptions(['KernelBootOptions', 'PreferredRootFSType'], sealed);
    return;
  }
  fields.copyText('KernelBootOptions', 'boot.kernelOptions');
  fields.set(Key.PreferredRootFSType, 'boot.rootFSType', rootTypes.get(fields.given.PreferredRootFSType));
  if (DmVerityMode === true && !DmVerityCreateArgs) {
    const reason = `without ${Key.DmVerityCreateArgs}, hcsshim refuses a root VHD on SCSI, and it has no effect on others`;
    fields.remarkOnOptions(['DmVerityMode'], reason);
  } else fields.copy('DmVerityMode', 'boot.dmVerityMode');
}

function isAbsolute(path: string | undefined): path is string {
  return path !== undefined && /^[A-Za-z]:[\\/]/.test(path);
}

function storage(fields: Fields, policy: Policy): void {
  const { FullyPhysicallyBacked, VPMemDeviceCount, VPMemNoMultiMapping } = fields.given;
  const overridden = policy === 'isolated' ? sealed : `${Key.FullyPhysicallyBacked} overrides it`;
  const hasNoVPMem = policy === 'isolated' || FullyPhysicallyBacked === true;
  if (!hasNoVPMem) fields.copy('VPMemDeviceCount', 'storage.vpmem.deviceCount');
  else if (VPMemDeviceCount !== 0) fields.remarkOnOptions(['VPMemDeviceCount'], overridden);
  if (hasNoVPMem || VPMemDeviceCount === 0) {
    fields.remarkOnOptions(['VPMemSizeBytes'], 'it has no effect without VPMem devices');
  } else fields.copy('VPMemSizeBytes', 'storage.vpmem.deviceSizeInBytes');
  const multiMapping = VPMemNoMultiMapping === undefined ? undefined : !VPMemNoMultiMapping;
  fields.set(Key.VPMemNoMultiMapping, 'storage.vpmem.multiMapping', multiMapping);
  fields.copy('StorageQoSIopsMaximum', 'storage.qos.iopsMaximum');
  fields.copy('StorageQoSBandwidthMaximum', 'storage.qos.bandwidthMaximum');
}

function devices(fields: Fields): void {
  for (const { deviceInstanceID, virtualFunctionIndex } of fields.given.AssignedDevices ?? []) {
    const device = { instanceID: deviceInstanceID, virtualFunction: virtualFunctionIndex };
    fields.add(`windows.devices '${deviceInstanceID}'`, 'devices.assigned', device);
  }
  fields.copy('VPCIEnabled', 'devices.vpciEnabled');
  fields.copyText('ConsolePipe', 'console.pipe');
}

/** The most services that a manifest can have. */
const mostServices = 64;

function services(fields: Fields): void {
  const table = Object.entries(fields.given.AdditionalHyperVConfig ?? {});
  for (const [guid, service] of table.slice(0, mostServices)) {
    fields.set(Key.HvSocketServicePrefix + guid, `hvSocket.serviceTable.${guid}`, {
      bindSecurityDescriptor: service.BindSecurityDescriptor,
      connectSecurityDescriptor: service.ConnectSecurityDescriptor,
      allowWildcardBinds: service.AllowWildcardBinds,
      disabled: service.Disabled,
    });
  }
  for (const [guid] of table.slice(mostServices)) {
    const reason = `spec.hvSocket.serviceTable has at most ${mostServices} services`;
    fields.remark(Key.HvSocketServicePrefix + guid, reason, 'leave some services out');
  }
  // A set in the manifest; the original writes a repeated port once as well.
  const ports = fields.given.ExtraVSockPorts;
  fields.set(Key.ExtraVSockPorts, 'hvSocket.extraVsockPorts', ports && [...new Set(ports)]);
}

function guest(fields: Fields): void {
  fields.copy('DisableTimeSyncService', 'guest.disableTimeSync');
  fields.copy('PolicyBasedRouting', 'guest.policyBasedRouting');
  fields.copyText('ProcessDumpLocation', 'guest.processDumpLocation');
  fields.copy('NoWritableFileShares', 'fileShares.disableWritable');
  fields.remarkOnOptions(['DumpDirectoryPath'], 'it has no effect on Linux guests');
  fields.remarkOnOptions(['NetworkConfigProxy'], 'a manifest has no network configuration proxy');
}

const confidentialOptions = [
  'SecurityPolicyEnforcer',
  'GuestStateFilePath',
  'DmVerityRootFsVhd',
  'HclEnabled',
  'EnableScratchEncryption',
  'UVMReferenceInfoFile',
] as const;

function confidential(fields: Fields, policy: Policy, policyName: string): void {
  if (policy === 'none') {
    const advice = `leave it out, or give a policy (${Key.SecurityPolicy})`;
    fields.remarkOnOptions(confidentialOptions, 'a manifest can have it only together with a security policy', advice);
    return;
  }
  const { SecurityPolicy = '' } = fields.given;
  if (SecurityPolicy.length > inlinePolicyChars) {
    const configMapKeyRef = { name: policyName, key: 'policy' };
    fields.set(Key.SecurityPolicy, 'confidential.securityPolicyFrom.configMapKeyRef', configMapKeyRef);
    const reason = `it is longer than the ${inlinePolicyChars} characters that a manifest can have`;
    fields.remark(Key.SecurityPolicy, reason, `put it into the ConfigMap ${policyName} under the key policy`);
  } else if (base64Error(SecurityPolicy) === undefined) fields.copy('SecurityPolicy', 'confidential.securityPolicy');
  else {
    fields.remark(Key.SecurityPolicy, 'it is not base64', 'encode the policy, or leave it out');
    return;
  }
  fields.set(Key.NoSecurityHardware, 'confidential.isolation', policy === 'isolated' ? 'SNP' : 'None');
  fields.copyText('SecurityPolicyEnforcer', 'confidential.enforcer');
  if (policy === 'isolated') {
    fields.copy('GuestStateFilePath', 'confidential.guestStateFile');
    fields.copy('DmVerityRootFsVhd', 'confidential.dmVerityRootFSVhd');
    fields.copy('DmVerityMode', 'confidential.dmVerityMode');
  } else {
    fields.copyText('GuestStateFilePath', 'confidential.guestStateFile');
    fields.copyText('DmVerityRootFsVhd', 'confidential.dmVerityRootFSVhd');
  }
  fields.copy('HclEnabled', 'confidential.hclEnabled');
  fields.copy('EnableScratchEncryption', 'confidential.encryptScratch');
  fields.copy('UVMReferenceInfoFile', 'confidential.uvmReferenceInfoFile');
}
