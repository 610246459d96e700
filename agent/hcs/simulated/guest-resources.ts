// What a simulated guest holds: mounted disks and its security policy (hcs-runtime E.6, ModifySettings).
import { z } from 'zod';
import type { GuestModifyRequest } from './guest-service.ts';

const disk = z.strictObject({
  MountPath: z.string().default(''),
  Lun: z.int().min(0).max(255).default(0),
  Controller: z.int().min(0).max(255).default(0),
  Partition: z.int().min(0).optional(),
  ReadOnly: z.boolean().optional(),
  Encrypted: z.boolean().optional(),
  Options: z.array(z.string()).optional(),
  BlockDev: z.boolean().optional(),
  EnsureFilesystem: z.boolean().optional(),
  Filesystem: z.string().optional(),
});

const policy = z.strictObject({
  EnforcerType: z.string().optional(),
  EncodedSecurityPolicy: z.string().default(''),
  EncodedUVMReference: z.string().optional(),
  EncodedUVMHashEnvelopeReference: z.string().optional(),
});

/** Known and accepted without a trace. */
const acceptedTypes: ReadonlySet<string> = new Set([
  'SCSIDevice',
  'SecurityPolicyFragment',
  'PodCgroupMemoryLimit',
  'VPMemDevice',
  'VPCIDevice',
  'MappedDirectory',
  'CombinedLayers',
  'Network',
]);

export type PolicySettings = z.infer<typeof policy>;

export class GuestResources {
  readonly #isDiskAttached: (controller: number, lun: number) => boolean;
  readonly #mounts = new Map<string, string>();
  #policy: PolicySettings | undefined;

  constructor(isDiskAttached: (controller: number, lun: number) => boolean) {
    this.#isDiskAttached = isDiskAttached;
  }

  /** Mount path → `controller:lun`. */
  get mounts(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#mounts);
  }

  /** As it was sent. */
  get securityPolicy(): PolicySettings | undefined {
    return this.#policy;
  }

  /** The text with which the guest refuses, if it does. */
  modify(request: GuestModifyRequest): string | undefined {
    if (request.ResourceType === 'MappedVirtualDisk') return this.#disk(request);
    if (request.ResourceType === 'SecurityPolicy') return this.#setPolicy(request);
    if (acceptedTypes.has(request.ResourceType)) return undefined;
    return `failed to unmarshal JSON in message: invalid ResourceType '${request.ResourceType}'`;
  }

  #disk({ RequestType, Settings }: GuestModifyRequest): string | undefined {
    const parsed = disk.safeParse(Settings);
    if (!parsed.success) return 'failed to unmarshal settings as MappedVirtualDisk';
    const { MountPath, Controller, Lun } = parsed.data;
    if (RequestType === 'Remove') {
      // The guest service does not mind that nothing is mounted there.
      this.#mounts.delete(MountPath);
      return undefined;
    }
    if (!this.#isDiskAttached(Controller, Lun)) return `no SCSI device at ${Controller}:${Lun}`;
    if (this.#mounts.has(MountPath)) return `${MountPath} is in use`;
    this.#mounts.set(MountPath, `${Controller}:${Lun}`);
    return undefined;
  }

  #setPolicy({ Settings }: GuestModifyRequest): string | undefined {
    const parsed = policy.safeParse(Settings);
    if (!parsed.success) return 'failed to unmarshal settings as SecurityPolicy';
    if (this.#policy !== undefined) return 'security policy has already been set';
    this.#policy = parsed.data;
    return undefined;
  }
}
