// What an agent is told of a VM: the requested options of its manifest, and what its status remembers of its life.
import {
  type LinuxUtilityVMSpec,
  type LinuxUtilityVMStatus,
  pausedAnnotation,
  restartedAtAnnotation,
} from '../../crds/linux-utility-vm.ts';
import { optionsDigest } from '../../protocol/digest.ts';
import { type Assignment, lastExit, limits } from '../../protocol/messages.ts';
import { fromSpec } from '../../protocol/options.ts';
import type { PolicyDigests, StoredMeta, VirtualMachine } from '../kubernetes/objects.ts';
import type { DesiredMachine } from './agents.ts';

/** An annotation is free text; what is longer than the wire carries is told by its beginning. */
const restartedAtChars = 64;

/** Those asked for last, since each report of a VM asks for its assignment, which rarely changes. */
export class RecentAssignments {
  readonly #recent = new Map<string, Recent>();

  /** Of this very version of the object; undefined when it is too large for a frame. */
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

  /** A spec outlives the versions of its object that our own writes make. */
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
  { metadata, status }: VirtualMachine,
  spec: LinuxUtilityVMSpec,
  { fits, ...requested }: Requested,
  runStrategy: LinuxUtilityVMSpec['runStrategy'],
): DesiredMachine {
  const assignment: Assignment = {
    uid: metadata.uid,
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    generation: metadata.generation,
    ...requested,
    runStrategy,
    updateStrategy: spec.updateStrategy,
    ...restartRequest(metadata),
    paused: isPaused(metadata),
    remembered: remembered(status),
  };
  return { assignment, policy: undefined };
}

type Requested = Pick<Assignment, 'options' | 'optionsDigest' | 'policySHA256'> & {
  /** Whether a message has room for the options. */
  readonly fits: boolean;
};

/** The text of a policy goes by itself. */
function requestedOf(spec: LinuxUtilityVMSpec, policy: PolicyDigests | undefined): Requested {
  // It stands in for a text that a spec refers to.
  const { SecurityPolicy, ...options } = fromSpec(spec, policy === undefined ? {} : { securityPolicy: '' });
  return {
    options,
    optionsDigest: policy?.optionsDigest ?? optionsDigest(options),
    fits: Buffer.byteLength(JSON.stringify(options)) <= limits.frameBytes - otherBytes,
    ...(policy === undefined ? {} : { policySHA256: policy.sha256 }),
  };
}

export function isPaused(metadata: StoredMeta): boolean {
  return metadata.annotations?.[pausedAnnotation] === 'true';
}

/** The restart annotation has a value that was not acted on yet. */
export function isRestartRequested(
  metadata: StoredMeta,
  handled: { readonly restartedAt?: string | undefined },
): boolean {
  const { restartedAt } = restartRequest(metadata);
  return restartedAt !== undefined && restartedAt !== handled.restartedAt?.slice(0, restartedAtChars);
}

function restartRequest(metadata: StoredMeta): { restartedAt?: string } {
  const restartedAt = metadata.annotations?.[restartedAtAnnotation];
  return restartedAt === undefined ? {} : { restartedAt: restartedAt.slice(0, restartedAtChars) };
}

function remembered(status: LinuxUtilityVMStatus): Assignment['remembered'] {
  const exit = status.lastExit === undefined ? undefined : lastExit.safeParse({ message: '', ...status.lastExit }).data;
  return {
    restarts: status.restarts ?? 0,
    ...(status.startTime === undefined ? {} : { startTime: status.startTime }),
    ...(exit === undefined ? {} : { lastExit: exit }),
    ...(status.restartedAt === undefined ? {} : { restartedAt: status.restartedAt.slice(0, restartedAtChars) }),
  };
}

/** Room in a frame for the rest of an assignment and what surrounds it: names, and one message of up to six bytes a character. */
const otherBytes = 4_096 + 6 * limits.messageChars;
