// The four collections that the operator follows, and typed clients for them.
import { apiVersion, hostPlural, setPlural, virtualMachinePlural } from '../../crds/names.ts';
import type { Clock, Random } from '../../runtime/clock.ts';
import type { KubeHttp } from './http.ts';
import {
  compact,
  type Host,
  type MachineSet,
  type Node,
  parseHost,
  parseNode,
  parseSet,
  parseVirtualMachine,
  type Stored,
  type VirtualMachine,
} from './objects.ts';
import { Reflector, type ReflectorObserver } from './reflector.ts';
import { collectionPath, ResourceClient, type ResourceKind } from './resource-client.ts';

export const machineKind: ResourceKind<VirtualMachine> = {
  apiVersion,
  kind: 'LinuxUtilityVM',
  plural: virtualMachinePlural,
  parse: parseVirtualMachine,
};
const hostKind: ResourceKind<Host> = { apiVersion, kind: 'LinuxUtilityVMHost', plural: hostPlural, parse: parseHost };
const setKind: ResourceKind<MachineSet> = {
  apiVersion,
  kind: 'LinuxUtilityVMSet',
  plural: setPlural,
  parse: parseSet,
};
const nodeKind: ResourceKind<Node> = { apiVersion: 'v1', kind: 'Node', plural: 'nodes', parse: parseNode };

export interface CachesOptions {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: ReflectorObserver;
}

/** Every replica keeps them warm. */
export class Caches {
  readonly machines: Reflector<VirtualMachine>;
  readonly hosts: Reflector<Host>;
  readonly nodes: Reflector<Node>;
  readonly sets: Reflector<MachineSet>;

  constructor(options: CachesOptions) {
    this.machines = reflector(options, { ...machineKind, parse: parseCompact });
    this.hosts = reflector(options, hostKind);
    this.nodes = reflector(options, nodeKind);
    this.sets = reflector(options, setKind);
  }

  /** The collections that were not listed yet. */
  get missing(): readonly string[] {
    return this.#where((cache) => !cache.hasSynced);
  }

  /** The collections whose kind the API server does not know. */
  get unserved(): readonly string[] {
    return this.#where((cache) => !cache.isServed);
  }

  /** Resolves when everything has been listed. */
  async start(): Promise<void> {
    for (const cache of this.#all) cache.start();
    await Promise.all(this.#all.map((cache) => cache.waitForSync()));
  }

  /** The cluster went back in time: the next lists are true. */
  distrust(): void {
    for (const cache of this.#all) cache.distrust();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.map((cache) => cache.stop()));
  }

  get #all() {
    return [this.hosts, this.nodes, this.machines, this.sets];
  }

  #where(is: (cache: { readonly hasSynced: boolean; readonly isServed: boolean }) => boolean): string[] {
    return Object.entries({ machines: this.machines, hosts: this.hosts, nodes: this.nodes, sets: this.sets })
      .filter(([, cache]) => is(cache))
      .map(([name]) => name);
  }
}

function parseCompact(raw: unknown): VirtualMachine | undefined {
  const object = parseVirtualMachine(raw);
  return object === undefined ? undefined : compact(object);
}

export interface Clients {
  readonly machines: ResourceClient<VirtualMachine>;
  readonly hosts: ResourceClient<Host>;
  readonly nodes: ResourceClient<Node>;
  readonly sets: ResourceClient<MachineSet>;
}

export function clientsOver(http: Pick<KubeHttp, 'request'>): Clients {
  return {
    machines: new ResourceClient(http, machineKind),
    hosts: new ResourceClient(http, hostKind),
    nodes: new ResourceClient(http, nodeKind),
    sets: new ResourceClient(http, setKind),
  };
}

function reflector<T extends Stored>(options: CachesOptions, kind: ResourceKind<T>): Reflector<T> {
  return new Reflector({ ...options, path: collectionPath(kind), parse: kind.parse });
}
