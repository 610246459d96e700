// The parts of the security policy that the guest receives once it is up (hcs-documents §10, hcs-runtime E.6): the
// policy, the name of the enforcer, and the signed reference measurements of the boot files, if the host has them.

import { messageOf } from '../../runtime/error-text.ts';
import type { LinuxOptions } from '../document/options.ts';
import { joinPath } from '../document/windows-paths.ts';
import { MachineFailure } from '../failure.ts';
import type { WindowsHost } from '../node/host.ts';
import type { GuestPolicy } from './plan.ts';

/** A signed statement of a few hashes has a few kilobytes. */
export const maxReferenceInfoBytes = 1 << 20;

/**
 * Undefined for a VM without a policy. As in the original, the files are always looked for in the default boot folder,
 * even when the VM boots from another one. A missing file is left out. Rejects with a `MachineFailure`.
 */
export async function guestPolicy(
  options: LinuxOptions,
  defaultBootFolder: string,
  host: Pick<WindowsHost, 'readFile'>,
): Promise<GuestPolicy | undefined> {
  if (options.SecurityPolicy === '' && !options.SecurityPolicyEnabled) return undefined;
  if (!options.UseGuestConnection) {
    throw new MachineFailure('InvalidOptions', 'confidential needs guest.useConnection: the policy is sent over it');
  }
  const read = (field: string, name: string) => readReferenceInfo(field, name, defaultBootFolder, host);
  return {
    enforcerType: options.SecurityPolicyEnforcer,
    encodedSecurityPolicy: options.SecurityPolicy,
    encodedUVMReference: await read('uvmReferenceInfoFile', options.UVMReferenceInfoFile),
    encodedUVMHashEnvelopeReference: await read(
      'uvmHashEnvelopeReferenceInfoFile',
      options.UVMHashEnvelopeReferenceInfoFile,
    ),
  };
}

async function readReferenceInfo(
  field: string,
  name: string,
  folder: string,
  host: Pick<WindowsHost, 'readFile'>,
): Promise<string> {
  // The agent can read files that others cannot, so a name must not lead out of the folder.
  if (/[\\/:]|^\.*$/.test(name)) {
    throw new MachineFailure('PathNotAllowed', `confidential.${field}: ${name} is not the name of a file`);
  }
  try {
    const content = await host.readFile(joinPath(folder, name), maxReferenceInfoBytes);
    return content === undefined ? '' : Buffer.from(content).toString('base64');
  } catch (error) {
    throw new MachineFailure('HostQueryFailed', `confidential.${field} cannot be read: ${messageOf(error)}`, error);
  }
}
