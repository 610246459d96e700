// The guest section of a spec: settings of the guest.
import { z } from 'zod';
import { commandText, flag } from '../fields.ts';

export const guest = z
  .object({
    useConnection: flag(
      'Wait for the bridge connection of the guest agent. The default is true. Mounted disks, shares and policies need it.',
    ),
    forwardStdout: flag('Forward the standard output of the guest’s command to its log.'),
    forwardStderr: flag(
      'Forward the standard error of that command, which carries the guest’s log. The default is true.',
    ),
    disableTimeSync: flag('Do not set the guest’s clock from the host.'),
    policyBasedRouting: flag('Route by source address in the guest. No effect until VMs have network adapters.'),
    logLevel: z
      .enum(['panic', 'fatal', 'error', 'warning', 'info', 'debug', 'trace'])
      .meta({ description: 'Level of the guest’s log in the default execCommandLine. Absent means info.' })
      .optional(),
    processDumpLocation: commandText('Folder in the guest for core dumps.').optional(),
    scrubLogs: flag('True: the guest scrubs its log. False: it does not. Absent lets the guest decide.'),
  })
  .meta({ description: 'Settings of the guest.' })
  .optional();
