// The API server as the bench uses it: many objects at once, and its own count of writes.
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { apiVersion, group, hostPlural, setPlural, version, virtualMachinePlural } from '../../../crds/names.ts';
import type { KubeHttp } from '../../../operator/kubernetes/http.ts';
import { list } from '../../../operator/kubernetes/watch.ts';
import { inParallel } from '../../security/in-parallel.ts';
import { ClusterApi } from '../../support/control-plane/cluster-api.ts';
import { nodeOf } from './agents/agents.ts';

const namespaced = `/apis/${group}/${version}/namespaces/default`;
export const machinesPath = `${namespaced}/${virtualMachinePlural}`;
export const setsPath = `${namespaced}/${setPlural}`;
const leasePath = '/apis/coordination.k8s.io/v1/namespaces/default/leases/lcow-operator';
const pollMilliseconds = 100;

const listed = z.object({ items: z.array(z.object({ metadata: z.object({ name: z.string() }) })) });
const lease = z.object({
  spec: z.object({ holderIdentity: z.string(), renewTime: z.string(), leaseTransitions: z.number().default(0) }),
});
const versioned = z.object({ metadata: z.object({ name: z.string(), resourceVersion: z.string() }) });

/** Successful writes since the API server began. */
export interface Writes {
  readonly machines: number;
  readonly sets: number;
  readonly hosts: number;
  readonly events: number;
}

export type Lease = z.infer<typeof lease>['spec'];

export class FleetCluster extends ClusterApi {
  constructor(kubeconfigPath: string) {
    super(kubeconfigPath, 'bench');
  }

  /** For watches. */
  get client(): KubeHttp {
    return this.http;
  }

  async createNodes(from: number, to: number): Promise<void> {
    const names = Array.from({ length: to - from }, (_, index) => nodeOf(from + index));
    await inParallel(names, (name) =>
      this.send('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } }),
    );
  }

  async createMachine(name: string): Promise<void> {
    await this.send('POST', machinesPath, { ...machine, metadata: { name } });
  }

  /** With 16 writers. */
  async createMachines(names: Iterable<string>): Promise<void> {
    await inParallel(names, (name) => this.createMachine(name));
  }

  /** The query asks for one VM that does not run, which costs the API server little. */
  async untilRunning(patienceMilliseconds: number): Promise<void> {
    await this.#until(`${machinesPath}?fieldSelector=status.phase%21%3DRunning&limit=1`, patienceMilliseconds);
  }

  /** One by one: the API server answers the deletion of a collection only after the last object. */
  async deleteMachines(patienceMilliseconds: number): Promise<void> {
    const { items } = listed.parse(await this.send('GET', machinesPath));
    await inParallel(items, ({ metadata }) => this.find('DELETE', `${machinesPath}/${metadata.name}`));
    await this.#until(`${machinesPath}?limit=1`, patienceMilliseconds);
  }

  /** The resourceVersion of each VM, by name. */
  async machineVersions(): Promise<ReadonlyMap<string, string>> {
    const versions = new Map<string, string>();
    const read = await list(this.http, { path: machinesPath }, new AbortController().signal, (items) => {
      for (const { metadata } of z.array(versioned).parse(items)) versions.set(metadata.name, metadata.resourceVersion);
    });
    if (!read.ok) throw new Error(read.error.message);
    return versions;
  }

  async lease(): Promise<Lease> {
    return lease.parse(await this.send('GET', leasePath)).spec;
  }

  /** As the API server counts them. */
  async writes(): Promise<Writes> {
    const opened = await this.http.lines({ method: 'GET', path: '/metrics' });
    if (!opened.ok) throw new Error(opened.error.message);
    const counts = { machines: 0, sets: 0, hosts: 0, events: 0 };
    for await (const line of opened.value) {
      const [, labels = '', value] = /^apiserver_request_total\{(.*)\} (\S+)$/.exec(line) ?? [];
      if (!/verb="(?:POST|PUT|PATCH|APPLY|DELETE)"/.test(labels) || !/code="2\d\d"/.test(labels)) continue;
      const resource = /resource="([a-z]+)"/.exec(labels)?.[1] ?? '';
      const kind = counted[resource];
      if (kind !== undefined) counts[kind] += Number(value);
    }
    return counts;
  }

  /** Events that say something about a set. */
  async eventsOfSets(): Promise<number> {
    const path = '/api/v1/namespaces/default/events?fieldSelector=involvedObject.kind%3DLinuxUtilityVMSet';
    return listed.parse(await this.send('GET', path)).items.length;
  }

  /** Waits for the last Events, which follow the status writes. */
  async settledWrites(): Promise<Writes> {
    let last = await this.writes();
    for (let looks = 0; looks < settleLooks; looks += 1) {
      await sleep(settleMilliseconds);
      const next = await this.writes();
      if (JSON.stringify(next) === JSON.stringify(last)) return next;
      last = next;
    }
    return last;
  }

  /** Until a list with this path is empty. */
  async #until(path: string, patienceMilliseconds: number): Promise<void> {
    const deadline = performance.now() + patienceMilliseconds;
    while (listed.parse(await this.send('GET', path)).items.length > 0) {
      if (performance.now() > deadline)
        throw new Error(`${path} still lists VMs after ${patienceMilliseconds / 1000} s`);
      await sleep(pollMilliseconds);
    }
  }
}

const settleMilliseconds = 1_500;
const settleLooks = 20;

const counted: Readonly<Record<string, keyof Writes>> = {
  [virtualMachinePlural]: 'machines',
  [setPlural]: 'sets',
  [hostPlural]: 'hosts',
  events: 'events',
};

export const machine = {
  apiVersion,
  kind: 'LinuxUtilityVM',
  spec: { memory: { sizeInMB: 512 }, processor: { count: 1 } },
} as const;
