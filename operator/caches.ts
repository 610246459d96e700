// The three collections that the operator follows, and typed clients for them.
import { apiVersion, hostPlural, virtualMachinePlural } from '../crds/names.ts';
import type { Clock, Random } from '../protocol/clock.ts';
import type { KubeHttp } from './kubernetes/http.ts';
import {
  type Host,
  type Node,
  parseHost,
  parseNode,
  parseVirtualMachine,
  type Stored,
  type VirtualMachine,
} from './kubernetes/objects.ts';
import { Reflector, type ReflectorObserver } from './kubernetes/reflector.ts';
import { ResourceClient, type ResourceKind } from './kubernetes/resource-client.ts';

export interface CachesOptions {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: ReflectorObserver;
}

interface Collection<T extends Stored> {
  readonly client: ResourceClient<T>;
  readonly cache: Reflector<T>;
}

export class Caches {
  readonly machines: Collection<VirtualMachine>;
  readonly hosts: Collection<Host>;
  readonly nodes: Collection<Node>;

  constructor(options: CachesOptions) {
    this.machines = collection(options, {
      apiVersion,
      kind: 'LinuxUtilityVM',
      plural: virtualMachinePlural,
      parse: parseVirtualMachine,
    });
    this.hosts = collection(options, { apiVersion, kind: 'LinuxUtilityVMHost', plural: hostPlural, parse: parseHost });
    this.nodes = collection(options, { apiVersion: 'v1', kind: 'Node', plural: 'nodes', parse: parseNode });
  }

  /** What has not been listed yet. */
  get missing(): readonly string[] {
    return Object.entries({ machines: this.machines, hosts: this.hosts, nodes: this.nodes })
      .filter(([, { cache }]) => !cache.hasSynced)
      .map(([name]) => name);
  }

  /** Hosts and nodes first: what is decided about VMs depends on them. */
  async start(): Promise<void> {
    this.hosts.cache.start();
    this.nodes.cache.start();
    await Promise.all([this.hosts.cache.waitForSync(), this.nodes.cache.waitForSync()]);
    this.machines.cache.start();
    await this.machines.cache.waitForSync();
  }

  async stop(): Promise<void> {
    await Promise.all([this.machines.cache.stop(), this.hosts.cache.stop(), this.nodes.cache.stop()]);
  }
}

function collection<T extends Stored>(options: CachesOptions, kind: ResourceKind<T>): Collection<T> {
  const client = new ResourceClient(options.http, kind);
  return { client, cache: new Reflector({ ...options, path: client.collectionPath, parse: kind.parse }) };
}
