// Parses objects from the API server. An object is never lost because a part of it is not as expected. The
// indispensable parts (its identity, where its VM runs) are parsed separately.
import { z } from 'zod';
import {
  type LinuxUtilityVMSpec,
  type LinuxUtilityVMStatus,
  linuxUtilityVMSpec,
  linuxUtilityVMStatus,
} from '../../crds/linux-utility-vm.ts';
import {
  type LinuxUtilityVMHostSpec,
  type LinuxUtilityVMHostStatus,
  linuxUtilityVMHostSpec,
  linuxUtilityVMHostStatus,
} from '../../crds/linux-utility-vm-host.ts';
import {
  type LinuxUtilityVMSetSpec,
  type LinuxUtilityVMSetStatus,
  linuxUtilityVMSetSpec,
  linuxUtilityVMSetStatus,
} from '../../crds/linux-utility-vm-set.ts';
import { objectMeta } from '../../crds/object.ts';
import { type Toleration, toleration } from '../../crds/placement.ts';
import { inlinePolicyChars } from '../../crds/spec/confidential.ts';
import { optionsDigest, sha256Hex } from '../../protocol/digest.ts';
import { limits, runStrategies } from '../../protocol/messages.ts';
import { fromSpec } from '../../protocol/options.ts';
import { beginning } from '../../runtime/beginning.ts';
import { plainText } from '../../runtime/plain-text.ts';
import { sameJson } from '../../runtime/same-json.ts';
import { SharedTexts } from './shared-texts.ts';
import { unknownFields } from './unknown-fields.ts';

/** Metadata of an object that the API server has stored. */
const storedMeta = objectMeta.extend({
  uid: z.string(),
  resourceVersion: z.string(),
  generation: z.number().default(0),
  annotations: z.record(z.string(), z.string()).transform(withoutCopies).optional(),
});
export type StoredMeta = z.infer<typeof storedMeta>;

export interface Stored {
  readonly metadata: StoredMeta;
}

const stored = z.object({ metadata: storedMeta });

/** Of an object whose content does not matter. */
export function parseStored(raw: unknown): Stored | undefined {
  return stored.safeParse(raw).data;
}

export type Part<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

/** Digests of a policy. The text is not kept: it may be long, and is needed only when it is sent to an agent. */
export interface PolicyDigests {
  readonly sha256: string;
  /** Digest of all requested options, including the policy's text. */
  readonly optionsDigest: string;
}

/** `policy`: the digests of the text of `confidential.securityPolicy`, which is removed from `value`. */
export type SpecPart =
  | { readonly ok: true; readonly value: LinuxUtilityVMSpec; readonly policy?: PolicyDigests | undefined }
  | { readonly ok: false; readonly message: string; readonly essentials: SpecEssentials };

/**
 * The part of a spec that says whether and where its VM runs. Parsed separately, so that it is known whatever else is
 * wrong with the spec.
 */
export interface SpecEssentials {
  /** Undefined when the strategy cannot be read. */
  readonly runStrategy: LinuxUtilityVMSpec['runStrategy'] | undefined;
  readonly nodeName: string | undefined;
  readonly tolerations: readonly Toleration[];
}

export function essentialsOf(spec: SpecPart): SpecEssentials {
  if (!spec.ok) return spec.essentials;
  const { runStrategy, nodeName, tolerations = [] } = spec.value;
  return { runStrategy, nodeName, tolerations };
}

export interface VirtualMachine extends Stored {
  readonly spec: SpecPart;
  readonly status: LinuxUtilityVMStatus;
  /** The stored parts of `status` that were dropped to save memory (`compact`). */
  readonly omitted?: { readonly headLines: number };
}

export interface Host extends Stored {
  readonly spec: LinuxUtilityVMHostSpec;
  readonly status: LinuxUtilityVMHostStatus;
}

export interface MachineSet extends Stored {
  readonly spec: Part<LinuxUtilityVMSetSpec>;
  readonly status: LinuxUtilityVMSetStatus;
}

const taint = z.object({
  key: z.string(),
  value: z.string().optional(),
  effect: z.string(),
  timeAdded: z.string().optional(),
});
export type Taint = z.infer<typeof taint>;

const node = z.object({
  metadata: storedMeta,
  spec: z
    .object({ unschedulable: z.boolean().default(false), taints: z.array(taint).default([]) })
    .default({ unschedulable: false, taints: [] }),
  /** As the kubelet measured the node. */
  status: z
    .object({
      capacity: z
        .object({ memory: z.string().optional().catch(undefined) })
        .optional()
        .catch(undefined),
    })
    .optional()
    .catch(undefined),
});
export type Node = z.infer<typeof node>;

const envelope = z.object({ metadata: storedMeta, spec: z.unknown().optional(), status: z.unknown().optional() });
const essentialStatus = z.object({
  nodeName: z.string().optional().catch(undefined),
  lastNodeName: z.string().optional().catch(undefined),
});

/**
 * Undefined for anything that is not an object with metadata. Parts that are known to be `unchanged` are not parsed
 * again, nor is a status that equals the one `sent`.
 */
export function parseVirtualMachine(
  raw: unknown,
  unchanged: Partial<Pick<VirtualMachine, 'spec' | 'status'>> = {},
  sent?: LinuxUtilityVMStatus,
): VirtualMachine | undefined {
  const object = envelope.safeParse(raw);
  if (!object.success) return undefined;
  const { metadata, spec, status } = object.data;
  return {
    metadata,
    spec: unchanged.spec ?? parseSpec(spec),
    status: unchanged.status ?? (sent !== undefined && sameJson(status, sent) ? sent : parseStatus(status)),
  };
}

function parseSpec(raw: unknown): SpecPart {
  const { spec, policy } = withoutLongPolicy(raw);
  const part = parsePart(linuxUtilityVMSpec, spec);
  return part.ok ? withoutPolicy(part.value, policy) : { ...part, essentials: parseEssentials(raw) };
}

const longPolicy = z.looseObject({
  confidential: z.looseObject({
    securityPolicy: z
      .string()
      .min(inlinePolicyChars + 1)
      .max(limits.policyChars)
      .regex(/^[A-Za-z0-9+/=\r\n]*$/),
  }),
});

/**
 * For an object from before policies in manifests were bounded: a longer policy is accepted if an agent can receive it.
 */
function withoutLongPolicy(raw: unknown): { readonly spec: unknown; readonly policy?: string } {
  const read = longPolicy.safeParse(raw).data;
  if (read === undefined) return { spec: raw };
  const { securityPolicy, ...rest } = read.confidential;
  return { spec: { ...read, confidential: { ...rest, securityPolicy: 'AAAA' } }, policy: securityPolicy };
}

const runStrategy = z.enum(runStrategies);
const essentials = z.object({
  runStrategy: z.unknown().transform((value) => (value === undefined ? 'Always' : runStrategy.safeParse(value).data)),
  nodeName: z.string().optional().catch(undefined),
  tolerations: z.array(z.unknown()).catch([]),
});

/** Only the known members of a toleration count. An unreadable one tolerates nothing. */
function parseEssentials(raw: unknown): SpecEssentials {
  const read = essentials.safeParse(raw).data;
  const tolerations = (read?.tolerations ?? []).flatMap((each) => toleration.safeParse(each).data ?? []);
  return { runStrategy: read?.runStrategy, nodeName: read?.nodeName, tolerations };
}

/** The policy of a spec without a reference is part of the spec itself. */
function withoutPolicy(spec: LinuxUtilityVMSpec, longer?: string): SpecPart {
  const { confidential } = spec;
  if (confidential?.securityPolicy === undefined || confidential.securityPolicyFrom !== undefined) {
    return { ok: true, value: spec };
  }
  const { securityPolicy, ...rest } = confidential;
  const value = { ...spec, confidential: rest };
  return { ok: true, value, policy: digestsOf(value, longer ?? securityPolicy) };
}

/** Digests for a spec whose policy text was removed. */
export function digestsOf(spec: LinuxUtilityVMSpec, securityPolicy: string): PolicyDigests {
  const options = { ...fromSpec(spec, { securityPolicy }), SecurityPolicy: securityPolicy };
  return { sha256: sha256Hex(securityPolicy), optionsDigest: optionsDigest(options) };
}

const inlinePolicy = z.object({ spec: z.object({ confidential: z.object({ securityPolicy: z.string() }) }) });

/** The policy in an object as the API server sent it. */
export function inlinePolicyOf(raw: unknown): string | undefined {
  return inlinePolicy.safeParse(raw).data?.spec.confidential.securityPolicy;
}

const texts = new SharedTexts(4_096);

/**
 * The form in which a large fleet is kept in memory, without the parts that no decision needs. Log text is most of a
 * status; most labels and annotations are for others.
 */
export function compact(object: VirtualMachine): VirtualMachine {
  const { labels, annotations, ...metadata } = object.metadata;
  const { guestLog, ...status } = object.status;
  const [ourLabels, ourAnnotations] = [labels, annotations].map(onlyOurs);
  for (const part of [metadata, object.spec, status]) texts.shareIn(part);
  return {
    metadata: {
      ...metadata,
      ...(ourLabels && { labels: ourLabels }),
      ...(ourAnnotations && { annotations: ourAnnotations }),
    },
    spec: object.spec,
    status,
    ...(guestLog === undefined ? {} : { omitted: { headLines: guestLog.head?.length ?? 0 } }),
  };
}

function onlyOurs(marks: Readonly<Record<string, string>> | undefined) {
  const ours = Object.entries(marks ?? {}).filter(([name]) => name.startsWith('lcow.dev/'));
  return ours.length === 0 ? undefined : Object.fromEntries(ours);
}

export function parseSet(raw: unknown): MachineSet | undefined {
  const object = envelope.safeParse(raw);
  if (!object.success) return undefined;
  const { metadata, spec, status } = object.data;
  return {
    metadata,
    spec: parsePart(linuxUtilityVMSetSpec, spec),
    status: linuxUtilityVMSetStatus.safeParse(status ?? {}).data ?? {},
  };
}

export function parseHost(raw: unknown): Host | undefined {
  const object = envelope.safeParse(raw);
  if (!object.success) return undefined;
  const { metadata, spec, status } = object.data;
  const parsedSpec = parsePart(linuxUtilityVMHostSpec, spec);
  const parsedStatus = linuxUtilityVMHostStatus.safeParse(status ?? {});
  return {
    metadata,
    // A spec that is unreadable, even in part, must not become a host without limits.
    spec: parsedSpec.ok ? parsedSpec.value : { unschedulable: true, memoryOvercommitPercent: 100 },
    status: parsedStatus.success ? parsedStatus.data : {},
  };
}

export function parseNode(raw: unknown): Node | undefined {
  return node.safeParse(raw).data;
}

const configMap = z.object({ data: z.record(z.string(), z.string()).default({}) });

export function parseConfigMapData(raw: unknown): Readonly<Record<string, string>> | undefined {
  return configMap.safeParse(raw).data?.data;
}

/** kubectl keeps a second copy of the whole manifest in this annotation. */
function withoutCopies(annotations: Record<string, string>): Record<string, string> {
  const { 'kubectl.kubernetes.io/last-applied-configuration': _, ...others } = annotations;
  return others;
}

export function objectKey(metadata: Pick<StoredMeta, 'name' | 'namespace'>): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

function parsePart<T>(schema: z.ZodType<T>, raw: unknown): Part<T> {
  const parsed = schema.safeParse(raw);
  if (!parsed.success) return { ok: false, message: problemsOf(parsed.error) };
  const unknown = unknownFields(raw, parsed.data);
  return unknown.length === 0 ? { ok: true, value: parsed.data } : { ok: false, message: unknownMessage(unknown) };
}

function problemsOf({ issues }: z.ZodError): string {
  const told = issues.slice(0, toldProblems).map(({ path, message }) => `spec.${path.join('.')}: ${message}`);
  return beginning(plainText(told.join('; ')), problemChars);
}

/** For a spec of a newer CRD: what it asks for would silently be ignored. */
function unknownMessage(unknown: readonly string[]): string {
  const names = unknown.slice(0, toldProblems).map((path) => `spec.${path}`);
  const fields = beginning(plainText(names.join(', ')), problemChars);
  return `this operator does not know ${fields}: upgrade the operator, or remove what it does not know`;
}

const toldProblems = 8;
const problemChars = 768;

function parseStatus(raw: unknown): LinuxUtilityVMStatus {
  const parsed = linuxUtilityVMStatus.safeParse(raw ?? {});
  if (parsed.success) return parsed.data;
  const { nodeName, lastNodeName } = essentialStatus.safeParse(raw).data ?? {};
  return {
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(lastNodeName === undefined ? {} : { lastNodeName }),
  };
}
