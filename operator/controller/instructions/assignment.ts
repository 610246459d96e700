// Builds the assignment of a VM: the requested options of its manifest, and the facts that its status remembers.
import type { LinuxUtilityVMSpec, LinuxUtilityVMStatus } from '../../../crds/linux-utility-vm.ts';
import { canonicalJson, optionsDigest, sha256Hex } from '../../../protocol/digest.ts';
import type { Intent } from '../../../protocol/intent.ts';
import { type Assignment, lastExit, limits } from '../../../protocol/messages.ts';
import { fromSpec, type RequestedOptions } from '../../../protocol/options.ts';
import type { PolicyDigests, VirtualMachine } from '../../kubernetes/objects.ts';
import { isPaused, restartRequest } from '../knowledge/annotations.ts';
import type { DesiredMachine } from './agents.ts';

/** Caches the latest assignments: every report of a VM asks for its assignment, which rarely changes. */
export class RecentAssignments {
  readonly #recent = new Map<string, Recent>();

  /** The assignment for exactly this version of the object; undefined when it is too large for a frame. */
  desired(
    object: VirtualMachine,
    spec: LinuxUtilityVMSpec,
    policy: PolicyDigests | undefined,
    runStrategy: LinuxUtilityVMSpec['runStrategy'],
  ): DesiredMachine | undefined {
    const { uid } = object.metadata;
    const known = this.#recent.get(uid);
    if (known?.of === object && isFrom(known.desired, policy, runStrategy)) return fitting(known);
    const requested = this.#requested(known, spec, policy);
    const desired = assigned(object, spec, requested, runStrategy);
    this.#recent.delete(uid);
    const recent = { of: object, spec, requested, desired };
    this.#recent.set(uid, recent);
    for (const oldest of this.#recent.keys()) {
      if (this.#recent.size <= recentMaximum) break;
      this.#recent.delete(oldest);
    }
    return fitting(recent);
  }

  forget(uid: string): void {
    this.#recent.delete(uid);
  }

  /** The options depend on the spec only, which stays the same while our own writes change the object's version. */
  #requested(known: Recent | undefined, spec: LinuxUtilityVMSpec, policy: PolicyDigests | undefined): Requested {
    const isSame = known?.spec === spec && known.requested.policySHA256 === policy?.sha256;
    return isSame ? known.requested : requestedOf(spec, policy);
  }
}

interface Recent {
  readonly of: VirtualMachine;
  readonly spec: LinuxUtilityVMSpec;
  readonly requested: Requested;
  readonly desired: DesiredMachine;
}

const recentMaximum = 2_000;

function fitting({ desired, requested }: Recent): DesiredMachine | undefined {
  return requested.fits ? desired : undefined;
}

function isFrom(
  { assignment }: DesiredMachine,
  policy: PolicyDigests | undefined,
  runStrategy: LinuxUtilityVMSpec['runStrategy'],
): boolean {
  return assignment.runStrategy === runStrategy && assignment.policySHA256 === policy?.sha256;
}

export function desiredMachine(
  object: VirtualMachine,
  spec: LinuxUtilityVMSpec,
  policy: PolicyDigests | undefined,
  runStrategy: LinuxUtilityVMSpec['runStrategy'] = spec.runStrategy,
): DesiredMachine {
  return assigned(object, spec, requestedOf(spec, policy), runStrategy);
}

function assigned(
  object: VirtualMachine,
  spec: LinuxUtilityVMSpec,
  { fits, ...requested }: Requested,
  runStrategy: LinuxUtilityVMSpec['runStrategy'],
): DesiredMachine {
  const { updateStrategy } = spec;
  const assignment: Assignment = { ...intentOf(object, runStrategy), ...requested, runStrategy, updateStrategy };
  return { assignment, policy: undefined };
}

/** An intent: the part of an assignment that needs no options. */
export function intentOf(
  { metadata, status }: VirtualMachine,
  runStrategy: LinuxUtilityVMSpec['runStrategy'] | undefined,
): Intent {
  return {
    uid: metadata.uid,
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    generation: metadata.generation,
    ...(runStrategy !== undefined && { runStrategy }),
    ...restartRequest(metadata),
    paused: isPaused(metadata),
    remembered: remembered(status),
  };
}

type Requested = Pick<Assignment, 'options' | 'optionsDigest' | 'policySHA256' | 'sourceDigest'> & {
  /** Whether a frame has room for the options. */
  readonly fits: boolean;
};

/** The text of a policy is sent separately. */
function requestedOf(spec: LinuxUtilityVMSpec, policy: PolicyDigests | undefined): Requested {
  const options = optionsWithoutPolicy(spec);
  return {
    options,
    optionsDigest: policy?.optionsDigest ?? optionsDigest(options),
    sourceDigest: sourceDigest(spec, policy),
    fits: Buffer.byteLength(JSON.stringify(options)) <= limits.frameBytes - otherBytes,
    ...(policy === undefined ? {} : { policySHA256: policy.sha256 }),
  };
}

function remembered(status: LinuxUtilityVMStatus): Assignment['remembered'] {
  const exit = status.lastExit === undefined ? undefined : lastExit.safeParse({ message: '', ...status.lastExit }).data;
  return {
    restarts: status.restarts ?? 0,
    ...(status.startTime === undefined ? {} : { startTime: status.startTime }),
    ...(exit === undefined ? {} : { lastExit: exit }),
    ...(status.restartedAt === undefined ? {} : { restartedAt: status.restartedAt.slice(0, limits.restartedAtChars) }),
  };
}

function optionsWithoutPolicy(spec: LinuxUtilityVMSpec): RequestedOptions {
  // A placeholder for the policy that the spec refers to.
  const { SecurityPolicy, ...options } = fromSpec(spec, { securityPolicy: '' });
  return options;
}

/** Digest of the spec as written: a reference counts by its name, a policy in the spec by its text. */
export function sourceDigest(spec: LinuxUtilityVMSpec, policy: PolicyDigests | undefined): string {
  const reference = spec.confidential?.securityPolicyFrom;
  const source = reference === undefined ? { policy: policy?.sha256 } : { reference };
  return sha256Hex(canonicalJson({ options: optionsWithoutPolicy(spec), ...source }));
}

/**
 * Room in a frame for the rest of an assignment and its envelope: names, and one message of up to six bytes a
 * character.
 */
const otherBytes = 4_096 + 6 * limits.messageChars;
