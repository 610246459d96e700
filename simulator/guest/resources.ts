// The resources of a simulated guest: its mounted disks and shares, and its security policy (hcs-runtime E.6, ModifySettings).
import { z } from 'zod';
import { type Clock, delay } from '../../runtime/clock.ts';
import { prepareFilesystem } from './filesystem.ts';
import { type DisksOfGuest, GuestMounts } from './mounts.ts';
import type { GuestModifyRequest } from './service.ts';

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

const share = z.strictObject({
  MountPath: z.string().min(1),
  Port: z.literal(564),
  ShareName: z.string().min(1),
  ReadOnly: z.boolean().optional(),
});

const policy = z.strictObject({
  EnforcerType: z.string().optional(),
  EncodedSecurityPolicy: z.string().default(''),
  EncodedUVMReference: z.string().optional(),
  EncodedUVMHashEnvelopeReference: z.string().optional(),
});

/** Known types that are accepted without effect. */
const acceptedTypes: ReadonlySet<string> = new Set([
  'SCSIDevice',
  'SecurityPolicyFragment',
  'PodCgroupMemoryLimit',
  'VPMemDevice',
  'VPCIDevice',
  'CombinedLayers',
  'Network',
]);

export type PolicySettings = z.infer<typeof policy>;

export interface GuestResourcesOptions {
  readonly disks: DisksOfGuest;
  /** Resolves once the guest's kernel shows the attached disks. */
  readonly devicesShown: () => Promise<unknown>;
  readonly clock: Clock;
  /** Aborted when the guest ends. */
  readonly signal: AbortSignal;
}

/** Pause between two looks for a device. */
const devicePause = 10;

export class GuestResources {
  readonly mounts = new GuestMounts();
  readonly #options: GuestResourcesOptions;
  #policy: PolicySettings | undefined;

  constructor(options: GuestResourcesOptions) {
    this.#options = options;
  }

  /** The policy as it was received. */
  get securityPolicy(): PolicySettings | undefined {
    return this.#policy;
  }

  /**
   * The text of the refusal, if the guest refuses.
   * @param failure why the guest cannot carry out a valid request
   */
  async modify(request: GuestModifyRequest, failure: string | undefined): Promise<string | undefined> {
    if (request.ResourceType === 'MappedVirtualDisk') return await this.#disk(request, failure);
    if (request.ResourceType === 'MappedDirectory') return this.#share(request, failure);
    if (failure !== undefined) return failure;
    if (request.ResourceType === 'SecurityPolicy') return this.#setPolicy(request);
    if (acceptedTypes.has(request.ResourceType)) return undefined;
    return `failed to unmarshal JSON in message: invalid ResourceType '${request.ResourceType}'`;
  }

  async #disk({ RequestType, Settings }: GuestModifyRequest, failure: string | undefined): Promise<string | undefined> {
    const parsed = disk.safeParse(Settings);
    if (!parsed.success) return 'failed to unmarshal settings as MappedVirtualDisk';
    const { Controller, EnsureFilesystem, Filesystem, Lun, MountPath, ReadOnly } = parsed.data;
    // The guest waits for the device before it looks at the type of the request, and without a limit.
    await this.#untilAttached(Controller, Lun);
    if (RequestType === 'Remove') return failure ?? this.mounts.unmount(MountPath);
    if (failure !== undefined) return this.mounts.failedMount(MountPath, failure);
    const files = this.#options.disks.files(Controller, Lun);
    const how = { filesystem: Filesystem, isEnsured: EnsureFilesystem === true, isReadOnly: ReadOnly === true };
    const problem = prepareFilesystem(files, how);
    if (problem !== undefined) return this.mounts.failedMount(MountPath, problem);
    return this.mounts.mount(MountPath, `${Controller}:${Lun}`, files, ReadOnly === true);
  }

  #share({ RequestType, Settings }: GuestModifyRequest, failure: string | undefined): string | undefined {
    const parsed = share.safeParse(Settings);
    if (!parsed.success) return 'failed to unmarshal settings as MappedDirectory';
    const { MountPath, ReadOnly, ShareName } = parsed.data;
    if (RequestType === 'Remove') return failure ?? this.mounts.unmount(MountPath);
    const folder = this.#options.disks.share(ShareName);
    if (failure !== undefined || folder === undefined) {
      return this.mounts.failedMount(MountPath, failure ?? `failed to mount ${ShareName}: connection refused`);
    }
    this.mounts.mountShare(MountPath, ShareName, folder.files, ReadOnly === true || folder.isReadOnly);
    return undefined;
  }

  async #untilAttached(controller: number, lun: number): Promise<void> {
    const { clock, devicesShown, disks, signal } = this.#options;
    await devicesShown();
    while (!disks.isAttached(controller, lun)) await delay(clock, devicePause, signal);
  }

  #setPolicy({ Settings }: GuestModifyRequest): string | undefined {
    const parsed = policy.safeParse(Settings);
    if (!parsed.success) return 'failed to unmarshal settings as SecurityPolicy';
    if (this.#policy !== undefined) return 'security policy has already been set';
    this.#policy = parsed.data;
    return undefined;
  }
}
