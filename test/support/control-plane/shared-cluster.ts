// The test's side of the shared control plane (shared.ts).
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { inject } from 'vitest';
import { z } from 'zod';
import { openCluster } from './custom-resources.ts';
import type { ProvidedCluster } from './shared.ts';

const answer = z.union([
  z.object({ kubeconfigPath: z.string(), server: z.string(), kubectl: z.string() }),
  z.object({ error: z.string() }),
]);

let cluster: Promise<ProvidedCluster> | undefined;

/**
 * Starts the cluster on the first call. Without the set-up of a test run, the cluster belongs to this process and ends
 * with it.
 */
export function sharedCluster(): Promise<ProvidedCluster> {
  const socket: string | undefined = inject('clusterSocket');
  cluster ??= socket === undefined ? openCluster() : ask(socket);
  return cluster;
}

async function ask(socket: string): Promise<ProvidedCluster> {
  const received = answer.parse(JSON.parse(await text(connect(socket))));
  if ('error' in received) throw new Error(`the shared control plane did not start: ${received.error}`);
  return received;
}
