// The policy that a guest is sent, and the files that it comes from.
import { describe, expect, it } from 'vitest';
import { MachineFailure } from '../../../agent/failure.ts';
import { guestPolicy, maxReferenceInfoBytes } from '../../../agent/preparation/guest-policy.ts';
import { fillOptions } from '../../../agent/preparation/requested-options.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';

const folder = 'C:\\LinuxBootFiles';
const host = {
  architecture: 'amd64',
  build: 20348,
  visibleProcessors: 4,
  bootFolder: folder,
  currentDirectory: 'C:\\',
} as const;
const policy = Buffer.from('package policy').toString('base64');

function policyOf(
  requested: RequestedOptions,
  readFile: (path: string, maxBytes: number) => Promise<Buffer | undefined>,
) {
  const machine = { id: 'luvm-x', owner: 'lcow-agent', bundleDirectory: 'C:\\vms\\x', requested };
  const files = { stat: () => ({ kind: 'notFound' }) as const };
  return guestPolicy(fillOptions(machine, host, files).options, folder, { readFile });
}

const nothingThere = () => Promise.resolve(undefined);

describe('the policy that a guest is sent', () => {
  it('is absent for a VM without a policy', async () => {
    expect(await policyOf({}, () => Promise.reject(new Error('nothing is to be read')))).toBeUndefined();
  });

  it('includes both files of the default boot folder, even when the VM boots from another folder', async () => {
    const read: [string, number][] = [];
    const options: RequestedOptions = {
      SecurityPolicy: policy,
      SecurityPolicyEnabled: true,
      SecurityPolicyEnforcer: 'rego',
      BootFilesPath: 'D:\\other',
    };
    const sent = await policyOf(options, (path, maxBytes) => {
      read.push([path, maxBytes]);
      return Promise.resolve(Buffer.from(path));
    });
    const files = ['reference_info.cose', 'reference_info_hash_envelope.cose'].map((name) => `${folder}\\${name}`);
    expect(read).toEqual(files.map((path) => [path, maxReferenceInfoBytes]));
    expect(sent).toEqual({
      enforcerType: 'rego',
      encodedSecurityPolicy: policy,
      encodedUVMReference: Buffer.from(files[0] ?? '').toString('base64'),
      encodedUVMHashEnvelopeReference: Buffer.from(files[1] ?? '').toString('base64'),
    });
  });

  it('is sent without files that do not exist, and also to a VM that is not isolated', async () => {
    const expected = { encodedSecurityPolicy: policy, encodedUVMReference: '', encodedUVMHashEnvelopeReference: '' };
    expect(await policyOf({ SecurityPolicy: policy }, nothingThere)).toMatchObject(expected);
  });

  it.each([
    [
      'of a file that cannot be read',
      {},
      'HostQueryFailed',
      'confidential.uvmReferenceInfoFile cannot be read: Access',
    ],
    ['without a connection to send it over', { UseGuestConnection: false }, 'InvalidOptions', 'guest.useConnection'],
    ...['..\\x.cose', 'C:x', 'a/b', '..', ''].map(
      (name) => [`of ${name}`, { UVMReferenceInfoFile: name }, 'PathNotAllowed', 'uvmReferenceInfoFile'] as const,
    ),
  ] as const)('is refused %s', async (_, options, reason, text) => {
    const failing = policyOf({ SecurityPolicy: policy, ...options }, () =>
      Promise.reject(new Error('Access is denied.')),
    );
    const failure = await failing.catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(MachineFailure);
    expect(failure).toMatchObject({ reason, message: expect.stringContaining(text) });
  });
});
