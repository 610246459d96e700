// A namespace with a crowd of VMs that fit nowhere, and how long the VM of another namespace takes to be placed
// meanwhile.
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { loadClusterAccess } from '../../../operator/kubernetes/cluster-access.ts';
import { KubeHttp, type KubeRequest } from '../../../operator/kubernetes/http.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { inParallel } from '../../security/in-parallel.ts';

const pollMilliseconds = 20;
const patienceMilliseconds = 60_000;
const crowdNamespace = 'pending-crowd';
const otherNamespace = 'beside-the-crowd';
export const promisedPlacementMilliseconds = 2_000;

const placed = z.object({ status: z.object({ nodeName: z.string().optional() }).default({}) });
const listed = z.object({ items: z.array(z.object({ metadata: z.object({ name: z.string() }) })) });

export class PendingCrowd implements AsyncDisposable {
  readonly #http: KubeHttp;
  #others = 0;

  private constructor(kubeconfigPath: string) {
    const access = loadClusterAccess(kubeconfigPath, systemClock);
    this.#http = new KubeHttp({ access, clock: systemClock, random: Math.random, version: 'test' });
  }

  static async open(kubeconfigPath: string): Promise<PendingCrowd> {
    const crowd = new PendingCrowd(kubeconfigPath);
    for (const name of [crowdNamespace, otherNamespace]) {
      await crowd.#send('POST', '/api/v1/namespaces', { metadata: { name } });
    }
    return crowd;
  }

  async create(count: number): Promise<void> {
    const names = Array.from({ length: count }, (_, index) => `pending-${index + 1}`);
    await inParallel(names, (name) => this.#create(crowdNamespace, name, { nodeSelector: { nowhere: 'found' } }));
  }

  /**
   * The longest time, while `until` is pending, from the creation of another namespace's VM until it has a host.
   * Milliseconds.
   */
  async worstPlacement(until: Promise<unknown>): Promise<number> {
    let [over, worst] = [false, 0];
    const ended = until.finally(() => {
      over = true;
    });
    do worst = Math.max(worst, await this.placement());
    while (!over);
    await ended;
    return worst;
  }

  async placement(): Promise<number> {
    this.#others += 1;
    const name = `other-${this.#others}`;
    await this.#create(otherNamespace, name, {});
    // The time that the API server takes for the creation does not count.
    const begun = performance.now();
    while (performance.now() - begun < patienceMilliseconds) {
      const { status } = placed.parse(await this.#send('GET', `${machines(otherNamespace)}/${name}`));
      if (status.nodeName !== undefined) return performance.now() - begun;
      await sleep(pollMilliseconds);
    }
    throw new Error(`${name} was not placed within ${patienceMilliseconds / 1000} s`);
  }

  /** Adds a taint that nobody tolerates, which changes the explanation of each waiting VM. */
  async taint(nodeName: string, taints: readonly object[]): Promise<void> {
    await this.#send('PATCH', `/api/v1/nodes/${nodeName}`, { spec: { taints } }, 'application/merge-patch+json');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const namespace of [crowdNamespace, otherNamespace]) {
      // One by one: the API server answers the deletion of a collection only after the last object, which takes
      // minutes.
      const { items } = listed.parse(await this.#send('GET', machines(namespace)));
      await inParallel(items, ({ metadata }) => this.#send('DELETE', `${machines(namespace)}/${metadata.name}`));
      const deadline = Date.now() + patienceMilliseconds;
      while (Date.now() < deadline && listed.parse(await this.#send('GET', machines(namespace))).items.length > 0) {
        await sleep(pollMilliseconds);
      }
      await this.#send('DELETE', `/api/v1/namespaces/${namespace}`);
    }
  }

  async #create(namespace: string, name: string, spec: object): Promise<void> {
    const body = {
      apiVersion: 'lcow.dev/v1alpha1',
      kind: 'LinuxUtilityVM',
      metadata: { name },
      spec: { memory: { sizeInMB: 64 }, ...spec },
    };
    await this.#send('POST', machines(namespace), body);
  }

  async #send(method: KubeRequest['method'], path: string, body?: object, contentType?: KubeRequest['contentType']) {
    const outcome = await this.#http.request({
      method,
      path,
      ...(body && { body }),
      ...(contentType && { contentType }),
    });
    if (!outcome.ok) throw new Error(`${method} ${path}: ${outcome.error.message}`);
    return outcome.value;
  }
}

function machines(namespace: string): string {
  return `/apis/lcow.dev/v1alpha1/namespaces/${namespace}/linuxutilityvms`;
}
