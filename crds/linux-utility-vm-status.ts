// The status of a LinuxUtilityVM: the latest observations of the operator and of the agent of its node.
import { z } from 'zod';
import { count, listAtomic, listMap, maxMemoryInMB, rules, text, timestamp } from './fields.ts';
import { conditions, observedGeneration, unseen } from './object.ts';

const digest = (description: string) => text(description, 128).optional();

const logLines = (maximum: number, description: string) =>
  z
    .array(z.string().max(256))
    .max(maximum)
    .meta({ description, ...listAtomic })
    .optional();

const lastExit = z
  .object({
    type: text('How the VM ended: GracefulExit, ForcedExit, UnexpectedExit, Unknown, None, or AgentExit.', 64),
    time: timestamp('When the VM ended.').optional(),
    message: text('What is known about the cause.').optional(),
  })
  .meta({ description: 'The last end of the VM.' })
  .optional();

const process = z
  .object({
    state: text(
      'Starting, Running, Exited (exitCode says how), or Failed: it was not started, or its exit code is not known (reason says why).',
      64,
    ),
    exitCode: count('The exit code of the process. 255 when a signal ended it.').optional(),
    reason: text(
      'Why the process failed: ProcessNotAllowed, ProcessNotStarted, ProcessStartUnknown or ExitCodeLost.',
      64,
    ).optional(),
    startedAt: timestamp('When the guest had started the process.').optional(),
    finishedAt: timestamp('When the process had ended, or its end was known to be lost.').optional(),
  })
  .meta({ description: 'The process of the current or last run of the VM. Only VMs with spec.process have it.' })
  .optional();

const guest = z
  .object({
    osType: text('Operating system that the guest reports.', 64).optional(),
    protocolVersion: count('Version of the guest protocol that was agreed on.').optional(),
    capabilities: z
      .array(z.string().max(128))
      .max(64)
      .meta({ description: 'Capabilities that the guest agent reports.', ...listAtomic })
      .optional(),
  })
  .meta({ description: 'Properties that the guest agent reported.' })
  .optional();

const guestLog = z
  .object({
    head: logLines(5, 'The first lines of the boot.'),
    tail: logLines(15, 'The last lines, which may be some minutes old.'),
    total: count('Lines received since the boot.').optional(),
    dropped: count(
      'Lines that were lost since the boot: they exceeded --guest-log-rate or --guest-output-rate of the agent, or the node’s disk or the agent’s standard output did not accept them. A line that was lost in two places counts twice.',
    ).optional(),
  })
  .meta({ description: 'An excerpt of the guest’s log.' })
  .optional();

const startFailure = z
  .object({
    count: count('Starts that failed in a row.'),
    retryAfter: timestamp('When the next attempt is due.').optional(),
  })
  .meta({
    description: 'Present while starting the VM fails, or while a VM that ended badly waits for its next start.',
  })
  .optional();

const devices = z
  .object({
    vpmem: z
      .array(z.object({ slot: count('VPMem device number.'), path: text('The file behind the device.') }))
      .max(128)
      .meta({ description: 'VPMem devices in use.', ...listMap('slot') })
      .optional(),
    scsi: z
      .array(
        z.object({
          controller: count('SCSI controller.'),
          lun: count('Slot on the controller.'),
          path: text('The file behind the slot.'),
        }),
      )
      .max(256)
      .meta({ description: 'SCSI slots in use.', ...listMap('controller', 'lun') })
      .optional(),
    assigned: z
      .array(
        z.object({
          instanceID: text('The device instance path on the host.', 512),
          vmbusID: text('The id of the device in the VM.', 64),
        }),
      )
      .max(64)
      .meta({ description: 'Assigned devices.', ...listMap('vmbusID') })
      .optional(),
    shares: z
      .array(
        z.object({
          name: text('The share in the manifest.', 63),
          path: text('The folder on the host.'),
          guestPath: text('The path in the guest.', 255),
          readOnly: z.boolean().meta({ description: 'The guest can only read the folder.' }),
        }),
      )
      .max(64)
      .meta({ description: 'Folders of the host that the VM has.', ...listMap('name') })
      .optional(),
  })
  .meta({ description: 'Devices of the VM.' })
  .optional();

const bootTimings = z
  .object({
    prepared: timestamp('The files were found and staged, and the document was built.').optional(),
    created: timestamp('The compute system was created.').optional(),
    started: timestamp('The compute system was running.').optional(),
    entropy: timestamp('The guest had fetched its entropy.').optional(),
    log: timestamp('The guest had connected its log.').optional(),
    guestConnected: timestamp('The guest agent had connected.').optional(),
  })
  .meta({ description: 'When each phase of the last boot ended.' })
  .optional();

export const phase = z.enum([
  'Pending',
  'Scheduled',
  'Staging',
  'Creating',
  'Starting',
  'Running',
  'Stopping',
  'Stopped',
  'Failed',
  'Unknown',
]);

export const linuxUtilityVMStatus = z
  .object({
    observedGeneration,
    phase: phase.meta({ description: 'The phase of the VM’s life, in one word.' }).optional(),
    nodeName: text(
      'The Node that the VM is assigned to. It becomes absent before it can name another Node.',
      253,
    ).optional(),
    lastNodeName: text(
      'The Node that the VM was assigned to last. It stays after the VM has left that Node. Only the operator writes it, together with nodeName.',
      253,
    ).optional(),
    systemID: text('Id of the compute system on its host.', 128).optional(),
    runtimeID: text('Id of the running VM, for Hyper-V tools.', 64).optional(),
    startTime: timestamp('When the VM was started last.').optional(),
    restarts: count('How often the VM was started again.').optional(),
    restartedAt: text(
      'The value of the annotation lcow.dev/restartedAt that was handled last; if it has 64 characters or more, its SHA-256.',
      256,
    ).optional(),
    readyRevision: text(
      'The label lcow.dev/revision of the VM when it was last ready as its manifest asked. Only VMs of a set have it.',
      63,
    ).optional(),
    lastExit,
    process,
    documentDigest: digest('SHA-256 of the document that the VM was created from, as canonical JSON.'),
    optionsDigest: digest('SHA-256 of the options that were applied.'),
    policyDigest: digest('SHA-256 of the security policy that was applied.'),
    processorCount: count('Processors that the VM has.').optional(),
    memorySizeInMB: count('Memory that the VM has, in MB.', 0, maxMemoryInMB).optional(),
    guest,
    guestLog,
    startFailure,
    bootTimings,
    warnings: z
      .array(z.string().max(1024))
      .max(32)
      .meta({
        description:
          'Values that were lowered, rounded or ignored when the VM was created, and what keeps its guest from booting.',
        ...listAtomic,
      })
      .optional(),
    devices,
    conditions,
  })
  .meta({
    description: 'The observed state of the VM. Written by the operator.',
    ...unseen,
    ...rules({
      rule: '!has(oldSelf.nodeName) || !has(self.nodeName) || self.nodeName == oldSelf.nodeName',
      message:
        'status.nodeName must become absent before it names another node: clear it once the VM is confirmed gone',
      fieldPath: '.nodeName',
    }),
  });

export type LinuxUtilityVMStatus = z.infer<typeof linuxUtilityVMStatus>;
export type Phase = z.infer<typeof phase>;
