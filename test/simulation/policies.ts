// The security policies of confidential VMs: in the manifest itself, or under a key of one of a few ConfigMaps.
import type { LinuxUtilityVMManifestSpec } from '../../crds/linux-utility-vm.ts';
import type { Chance } from './chance.ts';

/** Few, so that several VMs share one. */
export const policyMaps = ['policies-1', 'policies-2', 'policies-3'] as const;
export const policyKeys = ['web', 'batch'] as const;

const shares = { confidential: 0.25, isolated: 0.8, referring: 0.6 } as const;

/** The section `confidential` of a VM's manifest; undefined for an ordinary VM. */
export function confidentialOf(chance: Chance): LinuxUtilityVMManifestSpec['confidential'] {
  const isConfidential = chance.happens(shares.confidential);
  const isolation = chance.happens(shares.isolated) ? 'SNP' : 'None';
  const configMapKeyRef = { name: chance.pick(policyMaps), key: chance.pick(policyKeys) };
  const policy = chance.happens(shares.referring)
    ? { securityPolicyFrom: { configMapKeyRef } }
    : { securityPolicy: policyText('in the manifest') };
  return isConfidential ? { isolation, ...policy } : undefined;
}

/**
 * A policy as it stands in manifests and ConfigMaps. It lets the agent look into the guest: without that, a disk whose
 * mount went wrong waits for a restart of the VM.
 */
export function policyText(version: string): string {
  return Buffer.from(`package policy # ${version}\nexec_external := {"allowed": true}\n`).toString('base64');
}
