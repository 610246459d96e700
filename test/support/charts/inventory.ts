// Every object of a cluster by name, to show what a release leaves behind.
import { type KubectlTarget, kubectl } from '../control-plane/kubectl.ts';

/** Kinds whose objects come and go on their own. */
const restless = ['events', 'events.events.k8s.io', 'leases.coordination.k8s.io'];

export async function inventory(cluster: KubectlTarget): Promise<readonly string[]> {
  const kinds = (await kubectl(cluster, ['api-resources', '--verbs=list', '--cached=false', '-o', 'name']))
    .split('\n')
    .filter((kind) => kind !== '' && !restless.includes(kind));
  const template = '{range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{"\\n"}{end}';
  const listed = await kubectl(cluster, ['get', kinds.join(','), '--all-namespaces', '-o', `jsonpath=${template}`]);
  const leases = await kubectl(cluster, ['get', 'leases', '--namespace=lcow-system', '-o', 'name']);
  return [...listed.split('\n'), ...leases.split('\n')].filter((line) => line !== '').sort();
}
