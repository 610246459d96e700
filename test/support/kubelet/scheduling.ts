// Chooses the node of a pod: the one that the affinity of a DaemonSet's pod names, else the emptiest one that the pod's
// selector allows.
import type { KubeletNode } from './node.ts';
import type { Pod } from './objects.ts';

export function chooseNode(
  pod: Pod,
  nodes: readonly KubeletNode[],
  bound: ReadonlyMap<string, string>,
): Pick<KubeletNode, 'name'> | undefined {
  const named = nodeOfAffinity(pod);
  const fitting = nodes.filter(
    ({ name, labels }) =>
      (named === undefined || name === named) &&
      Object.entries(pod.spec.nodeSelector).every(([key, value]) => labels[key] === value),
  );
  const load = (node: KubeletNode) => [...bound.values()].filter((name) => name === node.name).length;
  return fitting.toSorted((a, b) => load(a) - load(b))[0];
}

/** The DaemonSet controller writes the affinity in this form. */
function nodeOfAffinity({ spec }: Pod): string | undefined {
  const terms = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const fields = terms.flatMap(({ matchFields }) => matchFields);
  return fields.find(({ key }) => key === 'metadata.name')?.values[0];
}
