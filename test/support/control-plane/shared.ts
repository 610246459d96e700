// One control plane for a whole test run (vitest `globalSetup`). With LCOW_TEST_KUBECONFIG the tests use that cluster.
// It has the kinds of crds/ installed, as they are in the work tree.
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { type Cluster, startControlPlane, useCluster } from './control-plane.ts';
import { kubectl } from './kubectl.ts';

/** What test files get by `inject('cluster')`: all of a `Cluster` that can be handed to another process. */
export type ProvidedCluster = Omit<Cluster, 'stop'>;

declare module 'vitest' {
  export interface ProvidedContext {
    cluster: ProvidedCluster;
  }
}

export const kubeconfigVariable = 'LCOW_TEST_KUBECONFIG';

export async function setup(project: Pick<TestProject, 'provide'>): Promise<() => Promise<void>> {
  const cluster = await openCluster();
  const { kubeconfigPath, server, kubectl } = cluster;
  project.provide('cluster', { kubeconfigPath, server, kubectl });
  return () => cluster.stop();
}

/** A cluster with our kinds: the one that the user names, else a control plane of our own. */
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
export async function installCustomResources(cluster: ProvidedCluster): Promise<void> {
  const folder = fileURLToPath(new URL('../../../crds/', import.meta.url));
  await kubectl(cluster, ['apply', '--server-side', '--filename', folder]);
  await kubectl(cluster, ['wait', '--for=condition=Established', '--timeout=30s', '--filename', folder]);
}
