// What a simulated guest holds: mounted disks and its security policy (hcs-runtime E.6, ModifySettings).
import { z } from 'zod';
import { type Clock, delay } from '../../runtime/clock.ts';
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

export interface GuestResourcesOptions {
  readonly disks: DisksOfGuest;
  /** Resolves once the guest's kernel shows the disks that are attached. */
  readonly devicesShown: () => Promise<unknown>;
  readonly clock: Clock;
  /** Aborted with the guest. */
  readonly signal: AbortSignal;
}

/** How often a guest looks whether a device has come. */
const devicePause = 10;

export class GuestResources {
  readonly mounts = new GuestMounts();
  readonly #options: GuestResourcesOptions;
  #policy: PolicySettings | undefined;

  constructor(options: GuestResourcesOptions) {
    this.#options = options;
  }

  /** As it was sent. */
  get securityPolicy(): PolicySettings | undefined {
    return this.#policy;
  }

  /**
   * The text with which the guest refuses, if it does.
   * @param failure why it cannot do it, although the request is a good one
   */
  async modify(request: GuestModifyRequest, failure: string | undefined): Promise<string | undefined> {
    if (request.ResourceType === 'MappedVirtualDisk') return await this.#disk(request, failure);
    if (failure !== undefined) return failure;
    if (request.ResourceType === 'SecurityPolicy') return this.#setPolicy(request);
    if (acceptedTypes.has(request.ResourceType)) return undefined;
    return `failed to unmarshal JSON in message: invalid ResourceType '${request.ResourceType}'`;
  }

  async #disk({ RequestType, Settings }: GuestModifyRequest, failure: string | undefined): Promise<string | undefined> {
    const parsed = disk.safeParse(Settings);
    if (!parsed.success) return 'failed to unmarshal settings as MappedVirtualDisk';
    const { Controller, Lun, MountPath, ReadOnly } = parsed.data;
    // Looked for before the request's type is looked at, and without a limit.
    await this.#untilAttached(Controller, Lun);
    if (RequestType === 'Remove') return failure ?? this.mounts.unmount(MountPath);
    if (failure !== undefined) return this.mounts.failedMount(MountPath, failure);
    const files = this.#options.disks.files(Controller, Lun);
    return this.mounts.mount(MountPath, `${Controller}:${Lun}`, files, ReadOnly === true);
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
