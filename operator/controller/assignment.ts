// What an agent is told of a VM: the requested options of its manifest, and what its status remembers of its life.
import {
  type LinuxUtilityVMSpec,
  type LinuxUtilityVMStatus,
  pausedAnnotation,
  restartedAtAnnotation,
} from '../../crds/linux-utility-vm.ts';
import { optionsDigest, sha256Hex } from '../../protocol/digest.ts';
import { type Assignment, lastExit, limits } from '../../protocol/messages.ts';
import { fromSpec } from '../../protocol/options.ts';
import type { StoredMeta, VirtualMachine } from '../kubernetes/objects.ts';
import type { DesiredMachine } from './agents.ts';

/** An annotation is free text; what is longer than the wire carries is told by its beginning. */
const restartedAtChars = 64;

export function desiredMachine(
  { metadata, status }: VirtualMachine,
  spec: LinuxUtilityVMSpec,
  references: { readonly securityPolicy: string | undefined },
  runStrategy: LinuxUtilityVMSpec['runStrategy'] = spec.runStrategy,
): DesiredMachine {
  const options = fromSpec(
    spec,
    references.securityPolicy === undefined ? {} : { securityPolicy: references.securityPolicy },
  );
  const { SecurityPolicy: policy, ...wireOptions } = options;
  const assignment: Assignment = {
    uid: metadata.uid,
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    generation: metadata.generation,
    options: wireOptions,
    ...(policy === undefined ? {} : { policySHA256: sha256Hex(policy) }),
    optionsDigest: optionsDigest(options),
    runStrategy,
    updateStrategy: spec.updateStrategy,
    ...restartRequest(metadata),
    paused: isPaused(metadata),
    remembered: remembered(status),
  };
  return { assignment, policy };
}

export function isPaused(metadata: StoredMeta): boolean {
  return metadata.annotations?.[pausedAnnotation] === 'true';
}

function restartRequest(metadata: StoredMeta): { restartedAt?: string } {
  const restartedAt = metadata.annotations?.[restartedAtAnnotation];
  return restartedAt === undefined ? {} : { restartedAt: restartedAt.slice(0, restartedAtChars) };
}

function remembered(status: LinuxUtilityVMStatus): Assignment['remembered'] {
  const exit = lastExit.safeParse({ message: '', ...status.lastExit }).data;
  return {
    restarts: status.restarts ?? 0,
    ...(status.startTime === undefined ? {} : { startTime: status.startTime }),
    ...(exit === undefined ? {} : { lastExit: exit }),
    ...(status.restartedAt === undefined ? {} : { restartedAt: status.restartedAt.slice(0, restartedAtChars) }),
  };
}

/** Room in a frame for what surrounds an assignment. */
const envelopeBytes = 4_096;

export function fitsIntoFrame(assignment: Assignment): boolean {
  return Buffer.byteLength(JSON.stringify(assignment)) <= limits.frameBytes - envelopeBytes;
}
