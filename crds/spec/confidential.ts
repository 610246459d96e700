// Confidential VMs: policy, isolation and boot files.
import { z } from 'zod';
import { fileName, flag, objectName, rules, text } from '../fields.ts';

const base64 = '^[A-Za-z0-9+/\\\\r\\\\n]*(=[\\\\r\\\\n]*){0,2}$';

/** The longest policy in a manifest. Objects that were stored before this bound may have longer ones and keep them. */
export const inlinePolicyChars = 32_768;

export const confidential = z
  .object({
    securityPolicy: z
      .string()
      .min(1)
      .max(inlinePolicyChars)
      .meta({
        description:
          'The policy in base64, at most 32,768 characters. Put a longer policy into a ConfigMap (securityPolicyFrom). The SHA-256 of this text goes into the launch measurement, and the guest receives this text.',
        ...rules({
          rule: `self.matches('${base64}') && size(self.replace('\\r', '').replace('\\n', '')) % 4 == 0`,
          message: 'must be standard base64 with padding: encode the policy with base64',
        }),
      })
      .optional(),
    securityPolicyFrom: z
      .object({
        configMapKeyRef: z
          .object({
            name: objectName('The ConfigMap.'),
            key: z
              .string()
              .min(1)
              .max(253)
              .meta({
                description: 'The key that holds the policy, in base64 as it would stand in securityPolicy.',
                ...rules({
                  rule: "self.matches('^[-._a-zA-Z0-9]+$')",
                  message: 'must be a key of a ConfigMap: letters, digits, -, _ and .',
                }),
              }),
          })
          .meta({ description: 'A key of a ConfigMap in the VM’s namespace.' }),
      })
      .meta({ description: 'Where to read the policy, instead of securityPolicy.' })
      .optional(),
    isolation: z
      .enum(['SNP', 'None'])
      .meta({
        description:
          'SNP runs the VM isolated by AMD SEV-SNP. None runs an ordinary VM and sends it the policy after start.',
      })
      .default('SNP'),
    enforcer: text('The policy enforcer that the guest uses.', 256).optional(),
    guestStateFile: fileName('Guest state (VMGS) file. Absent means kernel.vmgs.', 'boot.filesPath').optional(),
    dmVerityRootFSVhd: fileName(
      'Root VHD with its dm-verity tree. Absent means rootfs.vhd.',
      'boot.filesPath',
    ).optional(),
    dmVerityMode: flag('Attach the root VHD. The default is true.'),
    hclEnabled: flag('Use the host compatibility layer. Absent lets the host decide.'),
    encryptScratch: flag('Encrypt scratch disks. The default is true. No effect until VMs have scratch disks.'),
    uvmReferenceInfoFile: fileName(
      'Signed reference measurements for the guest. Absent means reference_info.cose.',
      'the host’s default boot folder',
    ).optional(),
    uvmHashEnvelopeReferenceInfoFile: fileName(
      'The reference measurements as a hash envelope. Absent means reference_info_hash_envelope.cose.',
      'the host’s default boot folder',
    ).optional(),
  })
  .meta({
    description: 'Makes the VM confidential: the guest enforces a policy that says what is allowed.',
    ...rules({
      rule: 'has(self.securityPolicy) != has(self.securityPolicyFrom)',
      message:
        'confidential needs exactly one of securityPolicy and securityPolicyFrom: set the one, leave out the other',
    }),
  })
  .optional();
