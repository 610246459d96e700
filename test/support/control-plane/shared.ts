// One control plane for a whole test run. The set-up of the run (vitest `globalSetup`) starts it on the first request,
// so that tests that need none do not wait for it.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { fromRoot } from '../source-imports.ts';
import { needsControlPlane } from '../test-kinds.ts';
import { findBinaries } from './binaries.ts';
import type { Cluster } from './control-plane.ts';
import { openCluster } from './custom-resources.ts';

/** The parts of a `Cluster` that can be passed to another process. */
export type ProvidedCluster = Omit<Cluster, 'stop'>;

declare module 'vitest' {
  export interface ProvidedContext {
    /** A process that connects to this socket receives the shared cluster as JSON. */
    clusterSocket: string;
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  // A build takes minutes, longer than any hook of a test may.
  const files = project.vitest.state.getPaths().map(fromRoot);
  if (files.some(needsControlPlane)) await findBinaries({ controllers: true });
  const offer = await ClusterOffer.open();
  project.provide('clusterSocket', offer.socket);
  return () => offer.close();
}

class ClusterOffer {
  readonly socket: string;
  readonly #folder: string;
  readonly #server: Server;
  #cluster: Promise<Cluster> | undefined;

  private constructor(folder: string) {
    this.#folder = folder;
    this.socket = join(folder, 'cluster.sock');
    this.#server = createServer((connection) => {
      connection.on('error', () => undefined);
      void this.#answer().then((answer) => connection.end(JSON.stringify(answer)));
    });
  }

  static async open(): Promise<ClusterOffer> {
    const offer = new ClusterOffer(await mkdtemp(join(tmpdir(), 'lcow-shared-')));
    offer.#server.listen(offer.socket);
    await once(offer.#server, 'listening');
    return offer;
  }

  async #answer(): Promise<ProvidedCluster | { readonly error: string }> {
    this.#cluster ??= openCluster();
    return await this.#cluster.then(
      ({ kubeconfigPath, server, kubectl }) => ({ kubeconfigPath, server, kubectl }),
      (error: unknown) => ({ error: String(error) }),
    );
  }

  async close(): Promise<void> {
    this.#server.close();
    await this.#cluster?.then(
      (cluster) => cluster.stop(),
      () => undefined,
    );
    await rm(this.#folder, { recursive: true, force: true });
  }
}
