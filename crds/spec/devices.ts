// Assigned devices, consoles and Hyper-V sockets of a VM.
import { z } from 'zod';
import { count, flag, listMap, listSet, maxUint32, rules } from '../fields.ts';

export const devices = z
  .object({
    assigned: z
      .array(
        z.object({
          instanceID: z
            .string()
            .min(1)
            .max(400)
            .meta({
              description: 'The device instance path on the host.',
              ...rules({
                rule: String.raw`self.matches(r'''^[^\x00-\x1f\x7f]*$''')`,
                message: 'must not contain control characters: write it as the host shows it',
              }),
            }),
          virtualFunction: count('Number of the device’s virtual function.', 0, 0xffff).default(0),
        }),
      )
      .max(64)
      .meta({ description: 'Host devices to assign to the VM.', ...listMap('instanceID', 'virtualFunction') })
      .optional(),
    vpciEnabled: flag('Let the kernel look for PCI devices. Without it, the guest does not see assigned devices.'),
  })
  .meta({ description: 'Devices of the host that the VM gets.' })
  .optional();

export const consoleSettings = z
  .object({
    pipe: z
      .string()
      .max(256)
      .meta({
        description: String.raw`Named pipe of the serial console, \\.\pipe\<name>. The agent of the host must allow it.`,
        ...rules({
          rule: String.raw`self.matches(r'''^\\\\\.\\pipe(\\[^\x00-\x1f\\/]*[^\x00-\x1f\\/. ])+$''')`,
          message: String.raw`must be a local pipe such as \\.\pipe\console, no part of which ends in a dot or space`,
        }),
      })
      .optional(),
    graphics: flag('Give the VM a keyboard and a screen.'),
  })
  .meta({ description: 'Consoles for debugging. The guest starts a shell on each of them.' })
  .optional();

const securityDescriptor = (description: string) =>
  z
    .string()
    .max(1024)
    .meta({
      description,
      ...rules({
        rule: String.raw`self.matches(r'''^[^\x00-\x1f\x7f]*$''')`,
        message: 'must be a security descriptor in SDDL on one line, such as D:P(A;;FA;;;SY)',
      }),
    })
    .optional();

export const hvSocket = z
  .object({
    serviceTable: z
      .record(
        z.string(),
        z
          .object({
            bindSecurityDescriptor: securityDescriptor('Who on the host may listen, as SDDL.'),
            connectSecurityDescriptor: securityDescriptor('Who on the host may connect, as SDDL.'),
            allowWildcardBinds: flag('Also connect to listeners that serve more than this VM.'),
            disabled: flag('Close the service.'),
          })
          .meta({ description: 'Access rules of one service.' }),
      )
      .meta({
        description: 'Hyper-V socket services by their GUID, in lower case.',
        maxProperties: 64,
        ...rules({
          rule: "self.all(key, key.matches('^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'))",
          message:
            'every key must be a GUID in lower case such as 0000006d-facb-11e6-bd58-64006a7986d3, without braces',
        }),
      })
      .optional(),
    extraVsockPorts: z
      .array(count('A vsock port.', 0, maxUint32))
      .max(64)
      .meta({ description: 'Further vsock ports to open for the guest of an SNP VM.', ...listSet })
      .optional(),
  })
  .meta({ description: 'Hyper-V sockets between host and guest.' })
  .optional();
