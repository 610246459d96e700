// What hcsshim reads of an OCI runtime spec and of its runtime options, at the border (docs/reference/hcs-documents.md
// §9.1, §9.2, §9.6). Everything else in a spec is ignored.
import { z } from 'zod';

/** Numbers of 64 bits, which a reader of JSON gives as bigints where a double is not exact. */
const unsigned = z
  .union([z.int().min(0), z.bigint().min(0n).max(0xffff_ffff_ffff_ffffn)])
  .transform((value) => BigInt(value))
  .nullish();

const resources = z.looseObject({
  memory: z.looseObject({ limit: unsigned }).nullish(),
  cpu: z.looseObject({ count: unsigned, maximum: unsigned, shares: unsigned }).nullish(),
  storage: z.looseObject({ iops: unsigned, bps: unsigned }).nullish(),
});
export type OciResources = z.infer<typeof resources>;

const device = z.looseObject({ id: z.string().default(''), idType: z.string().default('') });
export type OciDevice = z.infer<typeof device>;

export const ociSpec = z.looseObject({
  annotations: z.record(z.string(), z.string()).nullish(),
  /** Its presence makes the spec that of Linux containers. */
  linux: z.looseObject({}).nullish(),
  windows: z
    .looseObject({
      hyperv: z.looseObject({}).nullish(),
      resources: resources.nullish(),
      devices: z.array(device).nullish(),
    })
    .nullish(),
});
export type OciSpec = z.infer<typeof ociSpec>;

/** Names as in the configuration of the runtime. */
export const runtimeOptions = z.object({
  boot_files_root_path: z.string().nullish(),
  vm_processor_count: z.int().nullish(),
  vm_memory_size_in_mb: z.int().nullish(),
  NCProxyAddr: z.string().nullish(),
  default_container_annotations: z.record(z.string(), z.string()).nullish(),
});
export type RuntimeOptions = z.infer<typeof runtimeOptions>;
