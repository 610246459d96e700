// A cluster with our kinds.
import { fileURLToPath } from 'node:url';
import { type Cluster, startControlPlane, useCluster } from './control-plane.ts';
import { type KubectlTarget, kubectl } from './kubectl.ts';

export const kubeconfigVariable = 'LCOW_TEST_KUBECONFIG';

/** The cluster of LCOW_TEST_KUBECONFIG if the user sets it, else our own control plane. */
export async function openCluster(): Promise<Cluster> {
  const given = process.env[kubeconfigVariable];
  const cluster = given === undefined ? await startControlPlane() : await useCluster(given);
  try {
    await installCustomResources(cluster);
  } catch (error) {
    await cluster.stop();
    throw error;
  }
  return cluster;
}

/** Applies crds/ as a user would, and waits until the API server serves the kinds. */
export async function installCustomResources(cluster: KubectlTarget): Promise<void> {
  const folder = fileURLToPath(new URL('../../../crds/', import.meta.url));
  await kubectl(cluster, ['apply', '--server-side', '--filename', folder]);
  await kubectl(cluster, ['wait', '--for=condition=Established', '--timeout=30s', '--filename', folder]);
}
