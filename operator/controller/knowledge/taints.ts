// Matches taints of Nodes with tolerations of VMs, as Kubernetes does, with one difference: taints of the kubelet and
// node controller (node.kubernetes.io/*), which may be brief, do not apply to VMs, as they do not apply to DaemonSet
// pods. Out-of-service is an exception.
import type { Toleration } from '../../../crds/linux-utility-vm.ts';
import type { Node, Taint } from '../../kubernetes/objects.ts';

const outOfServiceTaint = 'node.kubernetes.io/out-of-service';

export function isDrain({ key, effect }: Taint): boolean {
  return key === 'lcow.dev/drain' && effect === 'NoExecute';
}

/** A drain that takes VMs of sets within their budget. With the value `now` it asks nothing. */
export function asksBudget(taint: Taint): boolean {
  return isDrain(taint) && taint.value !== 'now';
}

/** The cluster states that the node is powered off. */
export function isOutOfService({ spec }: Pick<Node, 'spec'>): boolean {
  return spec.taints.some(({ key }) => key === outOfServiceTaint);
}

/** The first taint that prevents a placement of the VM. */
export function untolerated(taints: readonly Taint[], tolerations: readonly Toleration[]): Taint | undefined {
  return taints.find(
    (taint) =>
      taint.effect !== 'PreferNoSchedule' &&
      !toleratedAnyway(taint) &&
      !tolerations.some((one) => tolerates(one, taint)),
  );
}

export interface TaintEviction {
  readonly taint: Taint;
  /** Milliseconds since the epoch; 0 means at once. */
  readonly due: number;
}

/**
 * The NoExecute taint that makes a VM leave first, and when. `noticedAt` replaces the time at which a taint was added,
 * which not every author of a taint records.
 */
export function taintEvictionOf(
  taints: readonly Taint[],
  tolerations: readonly Toleration[],
  noticedAt: (taint: Taint) => number,
): TaintEviction | undefined {
  return taints
    .filter((taint) => taint.effect === 'NoExecute' && !toleratedAnyway(taint))
    .flatMap((taint) => {
      const seconds = toleratedSeconds(taint, tolerations);
      if (seconds === Number.POSITIVE_INFINITY) return [];
      const added = taint.timeAdded === undefined ? Number.NaN : Date.parse(taint.timeAdded);
      return [{ taint, due: seconds <= 0 ? 0 : (Number.isNaN(added) ? noticedAt(taint) : added) + seconds * 1000 }];
    })
    .sort((a, b) => a.due - b.due)[0];
}

/** Of several tolerations of a taint the shortest counts; tolerations without a limit do not count. */
function toleratedSeconds(taint: Taint, tolerations: readonly Toleration[]): number {
  const matching = tolerations.filter((one) => tolerates(one, taint));
  if (matching.length === 0) return 0;
  return Math.min(...matching.map(({ tolerationSeconds = Number.POSITIVE_INFINITY }) => tolerationSeconds));
}

export function showTaint({ key, effect }: Taint): string {
  return `${key}:${effect}`;
}

function toleratedAnyway({ key }: Taint): boolean {
  return key.startsWith('node.kubernetes.io/') && key !== outOfServiceTaint;
}

function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect !== undefined && toleration.effect !== taint.effect) return false;
  if (toleration.key !== undefined && toleration.key !== '' && toleration.key !== taint.key) return false;
  return toleration.operator === 'Exists' || (toleration.value ?? '') === (taint.value ?? '');
}
