// The spec of a LinuxUtilityVM: every option of docs/reference/hcs-documents.md §1 has a place.
//
// A field left out has the reference's default on the host that the VM runs on, so only defaults that depend neither on
// the host nor on another field are written here. What a manifest alone can get wrong is refused by a rule; what only the
// host can judge is reported by its agent. Rules that span sections stand on the spec itself, never on the root: there
// they would also judge writes of status and finalizers, and an object that a later rule forbids could not be deleted.
import { z } from 'zod';
import {
  commandText,
  count,
  fileName,
  flag,
  guid,
  listAtomic,
  listMap,
  listSet,
  maxMemoryInMB,
  maxUint32,
  objectName,
  rules,
  text,
  windowsPath,
} from './fields.ts';
import { nodeName, nodeSelector, tolerations } from './placement.ts';

const maxInt32 = 0x7fff_ffff;
/** Four SCSI controllers of 64 slots. */
const maxDisks = 256;

const memory = z
  .object({
    sizeInMB: count(
      'Memory of the VM in MB; rounded up to an even number. Can change while the VM runs, unless it has vNUMA nodes or is SNP.',
      1,
      maxMemoryInMB,
    ).default(1024),
    allowOvercommit: flag('Back the memory by the page file (the default) instead of by physical memory.'),
    fullyPhysicallyBacked: flag(
      'Back the memory, and that of devices added later, by physical memory. Also means allowOvercommit false and no VPMem devices.',
    ),
    enableDeferredCommit: flag('Commit memory only when the guest touches it. Needs allowOvercommit.'),
    enableColdDiscardHint: flag('Let the guest tell which pages it no longer needs. Needs host build 18967.'),
    lowMMIOGapInMB: count('Size of the MMIO gap below 4 GiB, in MB.').optional(),
    highMMIOBaseInMB: count('Base address of the MMIO gap above 4 GiB, in MB.').optional(),
    highMMIOGapInMB: count('Size of the MMIO gap above 4 GiB, in MB.').optional(),
  })
  .meta({
    description: 'Memory of the VM.',
    ...rules(
      {
        rule: '!self.?enableDeferredCommit.orValue(false) || self.?allowOvercommit.orValue(true)',
        message:
          'memory.enableDeferredCommit is not supported on physically backed VMs: leave it out, or set memory.allowOvercommit to true',
        fieldPath: '.enableDeferredCommit',
      },
      {
        rule: '!self.?enableDeferredCommit.orValue(false) || !self.?fullyPhysicallyBacked.orValue(false)',
        message:
          'memory.enableDeferredCommit is not supported on physically backed VMs: leave it or memory.fullyPhysicallyBacked out',
        fieldPath: '.enableDeferredCommit',
      },
      {
        rule: '!self.?fullyPhysicallyBacked.orValue(false) || !self.?allowOvercommit.orValue(false)',
        message: 'memory.allowOvercommit must not be true with memory.fullyPhysicallyBacked: leave one of them out',
        fieldPath: '.allowOvercommit',
      },
    ),
  })
  .prefault({});

const processor = z
  .object({
    count: count(
      'Virtual processors; lowered to what the host has. Absent means 2, or 1 on a host with one processor.',
      1,
      2048,
    ).optional(),
    limit: count(
      'Ceiling of processor time, 100000 = all of the VM’s processors. Can change while the VM runs.',
      1,
      100_000,
    ).optional(),
    weight: count('Share of processor time under contention. Can change while the VM runs.', 1, 10_000).optional(),
    cpuGroupID: guid(
      'The CPU group to put the VM in. Needs host build 19043. Can change while the VM runs.',
    ).optional(),
  })
  .meta({ description: 'Processors of the VM.' })
  .optional();

const numaNode = z
  .object({
    physicalNode: count('The host node that backs this one: 0 to 63, or 255 for any.', 0, 255),
    processors: count('Virtual processors of this node.', 0, 2048),
    memoryInMB: count('Memory of this node in MB.', 1, maxMemoryInMB),
  })
  .meta({
    description: 'A virtual NUMA node.',
    ...rules({
      rule: 'self.physicalNode < 64 || self.physicalNode == 255',
      message: 'physicalNode must be a host node from 0 to 63, or 255 for any',
      fieldPath: '.physicalNode',
    }),
  });

const numa = z
  .object({
    maxProcessorsPerNode: count(
      'Let the host lay out the nodes, with at most so many processors each. Needs maxMemoryPerNodeInMB.',
      1,
      maxUint32,
    ).optional(),
    maxMemoryPerNodeInMB: count('Likewise, with at most so much memory each, in MB.', 1, maxMemoryInMB).optional(),
    nodes: z
      .array(numaNode)
      .min(1)
      .max(64)
      .meta({
        description:
          'The nodes one by one, in order. Their memory adds up to memory.sizeInMB, their processors to processor.count.',
        ...listAtomic,
        ...rules(
          {
            rule: 'self.all(node, (node.physicalNode == 255) == (self[0].physicalNode == 255))',
            message: 'numa.nodes must all name a host node as physicalNode, or all have 255 for any: do not mix them',
          },
          {
            rule: 'self.exists(node, node.processors > 0)',
            message: 'numa.nodes must have processors: set processors of at least one node to more than 0',
          },
        ),
      })
      .optional(),
    preferredPhysicalNodes: z
      .array(count('A host node.', 0, maxUint32))
      .max(64)
      .meta({ description: 'Host nodes to prefer, for both forms of vNUMA.', ...listAtomic })
      .optional(),
  })
  .meta({
    description:
      'Virtual NUMA topology: laid out by the host (maxProcessorsPerNode) or given (nodes). Needs host build 26100.',
    ...rules(
      {
        rule: '!has(self.maxProcessorsPerNode) || has(self.maxMemoryPerNodeInMB)',
        message: 'numa.maxMemoryPerNodeInMB is required with numa.maxProcessorsPerNode: set it too',
        fieldPath: '.maxMemoryPerNodeInMB',
      },
      {
        rule: '!has(self.nodes) || !(has(self.maxProcessorsPerNode) || has(self.maxMemoryPerNodeInMB))',
        message:
          'numa.nodes cannot be combined with numa.maxProcessorsPerNode or numa.maxMemoryPerNodeInMB: keep the one or the other',
        fieldPath: '.nodes',
      },
    ),
  })
  .optional();

const boot = z
  .object({
    filesPath: windowsPath(
      'Folder of kernel and root file system on the host. Absent means the host’s default boot folder.',
    ).optional(),
    kernelFile: fileName(
      'Kernel in that folder. Absent means vmlinux if it is there and boot is kernel-direct, else kernel.',
      'boot.filesPath',
    ).optional(),
    rootFSFile: fileName(
      'Root file system in that folder. Absent means rootfs.vhd if it is there, else initrd.img.',
      'boot.filesPath',
    ).optional(),
    rootFSType: z
      .enum(['InitRd', 'VHD'])
      .meta({
        description:
          'What the root file system is. Alone it also resets the root file to initrd.img or rootfs.vhd respectively.',
      })
      .optional(),
    kernelDirect: flag(
      'Boot the kernel without UEFI; the default where the host can. False also resets an absent kernelFile to kernel.',
    ),
    kernelOptions: commandText('Further kernel arguments.').optional(),
    execCommandLine: commandText(
      'What init executes. Absent means /bin/gcs -v4 -log-format json -loglevel <guest.logLevel>.',
    ).optional(),
    extraExecArgs: commandText('Arguments to append to execCommandLine, or to its default.').optional(),
    writableOverlayDirs: flag('Put writable overlays over a VHD root file system; without effect on an initrd.'),
    dmVerityMode: flag('Verify a VHD root file system on SCSI by dm-verity. Needs dmVerityCreateArgs.'),
    dmVerityCreateArgs: commandText('The value of dm-mod.create= for dmVerityMode.').optional(),
  })
  .meta({
    description: 'What the VM boots, and how.',
    ...rules(
      {
        rule: "!self.?dmVerityMode.orValue(false) || self.?dmVerityCreateArgs.orValue('') != ''",
        message: 'boot.dmVerityCreateArgs is required with boot.dmVerityMode: set it, or leave dmVerityMode out',
        fieldPath: '.dmVerityCreateArgs',
      },
      {
        // Booted by UEFI it is spliced into the kernel command line as initrd=/<name>.
        rule: "!has(self.rootFSFile) || !self.rootFSFile.contains(' ')",
        message: 'boot.rootFSFile must not contain spaces, which would begin another kernel argument: rename the file',
        fieldPath: '.rootFSFile',
      },
    ),
  })
  .optional();

const disk = z.object({
  name: z
    .string()
    .min(1)
    .max(63)
    .meta({
      description: 'Tells this disk from the others.',
      ...rules({
        rule: "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        message: 'must be lower-case letters, digits and -, no - at either end',
      }),
    }),
  path: windowsPath('The VHD or VHDX on the host.'),
  readOnly: z.boolean().meta({ description: 'Attach it read-only.' }).default(false),
  mountPath: z
    .string()
    .min(2)
    .max(255)
    .meta({
      description: 'Where the guest mounts it. Absent means /run/mounts/scsi/m<n>.',
      ...rules({
        rule: String.raw`self.matches(r'''^(/[^/\x00-\x1f\x7f]+)+$''') && !self.matches(r'''/\.{1,2}(/|$)''')`,
        message: 'must be an absolute guest path such as /mnt/data, without . or .. and without / at the end',
      }),
    })
    .optional(),
});

const storage = z
  .object({
    scsiControllerCount: count(
      'SCSI controllers; 4 in any case on build 17763 and later without VPMem.',
      0,
      4,
    ).optional(),
    vpmem: z
      .object({
        deviceCount: count('VPMem devices; absent means 64, on arm64 none.', 0, 128).optional(),
        deviceSizeInBytes: z
          .int()
          .min(4096)
          .max(Number.MAX_SAFE_INTEGER)
          .multipleOf(4096)
          .meta({ description: 'Size of each; absent means 4 GiB. A multiple of 4096.' })
          .optional(),
        multiMapping: flag('Let several layers share a device; the default on build 18362 and later.'),
      })
      .meta({ description: 'Virtual persistent memory devices. Not on arm64.' })
      .optional(),
    qos: z
      .object({
        iopsMaximum: count('Ceiling of I/O operations a second; 0 means none.', 0, maxInt32).optional(),
        bandwidthMaximum: count('Ceiling of bytes a second; 0 means none.', 0, maxInt32).optional(),
      })
      .meta({ description: 'Limits of the VM’s storage.' })
      .optional(),
    disks: z
      .array(disk)
      .max(maxDisks)
      .meta({
        description: 'SCSI disks to attach. Can change while the VM runs.',
        ...listMap('name'),
        ...rules({
          rule: 'self.all(a, !has(a.mountPath) || self.exists_one(b, has(b.mountPath) && b.mountPath == a.mountPath))',
          message: 'storage.disks must not share a mountPath: give each disk its own',
        }),
      })
      .optional(),
  })
  .meta({ description: 'Controllers, disks and their limits.' })
  .optional();

const devices = z
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
          virtualFunction: count('Which virtual function of it.', 0, 0xffff).default(0),
        }),
      )
      .max(64)
      .meta({ description: 'Host devices to assign to the VM.', ...listMap('instanceID', 'virtualFunction') })
      .optional(),
    vpciEnabled: flag('Let the kernel look for PCI devices. Assigned devices are not seen without it.'),
  })
  .meta({ description: 'Devices of the host for the VM.' })
  .optional();

const consoleSettings = z
  .object({
    pipe: z
      .string()
      .max(256)
      .meta({
        description: String.raw`Named pipe of the serial console, \\.\pipe\<name>.`,
        ...rules({
          rule: String.raw`self.matches(r'''^\\\\\.\\pipe\\[^\x00-\x1f\\/]+$''')`,
          message: String.raw`must be a local pipe such as \\.\pipe\console`,
        }),
      })
      .optional(),
    graphics: flag('Give the VM keyboard and screen.'),
  })
  .meta({ description: 'Consoles for debugging; either starts a shell on it.' })
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

const hvSocket = z
  .object({
    serviceTable: z
      .record(
        z.string(),
        z
          .object({
            bindSecurityDescriptor: securityDescriptor('Who on the host may listen, as SDDL.'),
            connectSecurityDescriptor: securityDescriptor('Who on the host may connect, as SDDL.'),
            allowWildcardBinds: flag('Also serve listeners that are not for this VM alone.'),
            disabled: flag('Close the service.'),
          })
          .meta({ description: 'What is allowed on one service.' }),
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

const guest = z
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

const fileShares = z
  .object({ disableWritable: flag('Refuse writable file shares. Without effect until VMs have shares.') })
  .meta({ description: 'File shares of the VM.' })
  .optional();

const base64 = '^[A-Za-z0-9+/\\\\r\\\\n]*(=[\\\\r\\\\n]*){0,2}$';

const confidential = z
  .object({
    securityPolicy: z
      .string()
      .min(1)
      .max(262_144)
      .meta({
        description: 'The policy, in base64. Its SHA-256 goes into the launch measurement, the same text to the guest.',
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
    enforcer: text('The policy enforcer that the guest shall use.', 256).optional(),
    guestStateFile: fileName('Guest state (VMGS) file; absent means kernel.vmgs.', 'boot.filesPath').optional(),
    dmVerityRootFSVhd: fileName(
      'Root VHD with its dm-verity tree; absent means rootfs.vhd.',
      'boot.filesPath',
    ).optional(),
    dmVerityMode: flag('Attach that VHD; the default.'),
    hclEnabled: flag('Use the host compatibility layer; absent leaves it to the host.'),
    encryptScratch: flag('Encrypt scratch disks; the default. Without effect until VMs have scratch disks.'),
    uvmReferenceInfoFile: fileName(
      'Signed reference measurements for the guest; absent means reference_info.cose.',
      'the host’s default boot folder',
    ).optional(),
    uvmHashEnvelopeReferenceInfoFile: fileName(
      'The same as hash envelope; absent means reference_info_hash_envelope.cose.',
      'the host’s default boot folder',
    ).optional(),
  })
  .meta({
    description: 'Makes the VM confidential: what it may do is fixed by a policy that the guest enforces.',
    ...rules({
      rule: 'has(self.securityPolicy) != has(self.securityPolicyFrom)',
      message:
        'confidential needs exactly one of securityPolicy and securityPolicyFrom: set the one, leave out the other',
    }),
  })
  .optional();

const snp = "self.?confidential.?isolation.orValue('None') == 'SNP'";
const physicallyBacked =
  '(!self.?memory.?allowOvercommit.orValue(true) || self.?memory.?fullyPhysicallyBacked.orValue(false))';

export const linuxUtilityVMSpec = z
  .object({
    nodeName,
    nodeSelector,
    tolerations,
    runStrategy: z
      .enum(['Always', 'RerunOnFailure', 'Once', 'Halted'])
      .meta({
        description:
          'Always restarts the VM whenever it ends, RerunOnFailure unless it ended well, Once runs it once, Halted keeps it stopped.',
      })
      .default('Always'),
    updateStrategy: z
      .enum(['OnRestart', 'Recreate'])
      .meta({
        description:
          'What a change of a field does that takes effect only at creation: wait for the next restart, or recreate the VM now.',
      })
      .default('OnRestart'),
    terminateOnAgentExit: z
      .boolean()
      .meta({
        description:
          'Whether the VM ends when the agent on its node does. False needs a guest image whose vsockexec relays logs (-r); not with confidential.',
      })
      .default(true),
    memory,
    processor,
    numa,
    boot,
    storage,
    devices,
    console: consoleSettings,
    hvSocket,
    guest,
    fileShares,
    confidential,
    resourcePartitionID: guid('The resource partition to put the VM in; not with processor.cpuGroupID.').optional(),
  })
  .meta({
    description: 'What the VM shall be. A field left out has the default of the host that the VM runs on.',
    ...rules(
      {
        rule: '!has(self.resourcePartitionID) || !has(self.processor) || !has(self.processor.cpuGroupID)',
        message: 'resourcePartitionID and processor.cpuGroupID cannot be set at the same time: leave one of them out',
        fieldPath: '.resourcePartitionID',
      },
      {
        rule: '!self.?memory.?fullyPhysicallyBacked.orValue(false) || self.?storage.?vpmem.?deviceCount.orValue(0) == 0',
        message:
          'storage.vpmem.deviceCount must be 0 or absent with memory.fullyPhysicallyBacked: leave one of them out',
        fieldPath: '.storage.vpmem.deviceCount',
      },
      {
        rule: `!self.?memory.?enableDeferredCommit.orValue(false) || !(${snp})`,
        message:
          'memory.enableDeferredCommit is not supported with confidential.isolation SNP, whose memory is physically backed: leave it out',
        fieldPath: '.memory.enableDeferredCommit',
      },
      {
        rule: `!(has(self.numa) && (has(self.numa.nodes) || has(self.numa.maxProcessorsPerNode))) || ${snp} || ${physicallyBacked}`,
        message:
          'numa needs physically backed memory: set memory.allowOvercommit to false or memory.fullyPhysicallyBacked to true',
        fieldPath: '.numa',
      },
      {
        rule: `!has(self.numa) || !has(self.numa.nodes) || ${snp} || !has(self.memory) || self.numa.nodes.map(node, node.memoryInMB).sum() == (self.memory.sizeInMB + 1) / 2 * 2`,
        message:
          'numa.nodes must have the memory of the VM: make memoryInMB of all nodes add up to memory.sizeInMB, rounded up to an even number',
        fieldPath: '.numa.nodes',
      },
      {
        rule: `!has(self.numa) || !has(self.numa.nodes) || ${snp} || !has(self.processor) || !has(self.processor.count) || self.numa.nodes.map(node, node.processors).sum() <= self.processor.count`,
        message:
          'numa.nodes must not have more processors than the VM: make processors of all nodes add up to processor.count',
        fieldPath: '.numa.nodes',
      },
      {
        rule: '!has(self.confidential) || self.terminateOnAgentExit',
        message:
          'terminateOnAgentExit must not be false with confidential, whose command line is sealed: leave terminateOnAgentExit out',
        fieldPath: '.terminateOnAgentExit',
      },
      {
        rule: '!has(self.confidential) || self.?guest.?useConnection.orValue(true)',
        message:
          'guest.useConnection must not be false with confidential: the policy is sent over that connection; leave it out',
        fieldPath: '.guest.useConnection',
      },
      {
        rule: '!has(self.storage) || !has(self.storage.disks) || self.?guest.?useConnection.orValue(true) || !self.storage.disks.exists(disk, has(disk.mountPath))',
        message:
          'guest.useConnection must not be false with mountPath in storage.disks: the guest is told to mount over that connection',
        fieldPath: '.guest.useConnection',
      },
    ),
  });

export type LinuxUtilityVMSpec = z.infer<typeof linuxUtilityVMSpec>;
/** The spec as a manifest may give it: without what has a default. */
export type LinuxUtilityVMManifestSpec = z.input<typeof linuxUtilityVMSpec>;
