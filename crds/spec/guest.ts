// What the guest is told and may share with its host.
import { z } from 'zod';
import { commandText, flag } from '../fields.ts';

export const guest = z
  .object({
    useConnection: flag('Wait for the guest’s service connection; the default. Disks and policies need it.'),
    forwardStdout: flag('Forward the standard output of the guest’s command to its log.'),
    forwardStderr: flag('Forward its standard error, which carries the guest’s log; the default.'),
    disableTimeSync: flag('Do not set the guest’s clock from the host.'),
    policyBasedRouting: flag('Route by source address in the guest. Without effect until VMs have network adapters.'),
    logLevel: z
      .enum(['panic', 'fatal', 'error', 'warning', 'info', 'debug', 'trace'])
      .meta({ description: 'Level of the guest’s log in the default execCommandLine; absent means info.' })
      .optional(),
    processDumpLocation: commandText('Where the guest puts core dumps.').optional(),
    scrubLogs: flag('True makes the guest scrub its log, false tells it not to; absent leaves it to the guest.'),
  })
  .meta({ description: 'What the guest is told.' })
  .optional();

export const fileShares = z
  .object({ disableWritable: flag('Refuse writable file shares. Without effect until VMs have shares.') })
  .meta({ description: 'File shares of the VM.' })
  .optional();
