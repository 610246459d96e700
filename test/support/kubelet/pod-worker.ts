// One pod from its binding to its final deletion: volumes, network, containers, status.
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Refusal } from '../control-plane/cluster-api.ts';
import type { Api } from './api.ts';
import { Container } from './container.ts';
import { environmentOf, expand, type PodAddresses } from './environment.ts';
import type { LinuxImage } from './images.ts';
import { launch } from './launch.ts';
import { NamespaceNetwork, type Network } from './network.ts';
import type { KubeletNode } from './node.ts';
import type { ContainerSpec, Pod } from './objects.ts';
import type { Services } from './services.ts';
import { hostFolder, Volumes } from './volumes.ts';
import type { Wire } from './wire.ts';

/** How often files are compared with their sources, and failures are retried. */
const syncMilliseconds = 500;

export interface PodSurroundings {
  readonly api: Api;
  readonly services: Services;
  readonly wire: Wire;
  readonly operatorImage: LinuxImage | undefined;
  readonly node: KubeletNode;
  readonly directory: string;
  /** The pod's own address, unless it shares the node's. */
  readonly address: string;
  readonly haste: number;
}

export class PodWorker {
  readonly #surroundings: PodSurroundings;
  readonly #volumes: Volumes;
  readonly #addresses: PodAddresses;
  readonly #end = new AbortController();
  readonly #startTime = new Date().toISOString();
  readonly #run: Promise<void>;
  #pod: Pod;
  #containers: readonly Container[] = [];
  #network: Network | undefined;
  #trouble = '';
  #published = '';
  #publishing: Promise<void> = Promise.resolve();

  constructor(pod: Pod, surroundings: PodSurroundings) {
    const { node, api, directory, address } = surroundings;
    this.#pod = pod;
    this.#surroundings = surroundings;
    this.#addresses = { pod: pod.spec.hostNetwork ? node.network.address : address, host: node.network.address };
    const places = { api, directory: join(directory, 'v'), nodeDirectory: node.directory, addresses: this.#addresses };
    this.#volumes = new Volumes(pod, places);
    this.#run = this.#follow();
  }

  get name(): string {
    return this.#pod.metadata.name;
  }

  /** Log files of its containers, for error reports. */
  get logFiles(): readonly string[] {
    return this.#pod.spec.containers.map(({ name }) => this.#logFile(name));
  }

  update(pod: Pod): void {
    this.#pod = pod;
    if (pod.metadata.deletionTimestamp !== undefined) this.#end.abort();
  }

  /** The object is gone, or this kubelet ends. */
  async kill(): Promise<void> {
    this.#pod = { ...this.#pod, metadata: { ...this.#pod.metadata, deletionGracePeriodSeconds: 0 } };
    this.#end.abort();
    await Promise.all(this.#containers.map((each) => each.stop(0)));
    await this.#run;
  }

  get ended(): Promise<void> {
    return this.#run;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#end;
    let started = false;
    while (!signal.aborted) {
      const trouble: string = await this.#sync(started).catch((error: unknown) => errorText(error));
      started ||= trouble === '';
      this.#trouble = trouble;
      this.#changed();
      await delay(syncMilliseconds, undefined, { signal, ref: false }).catch(() => {});
    }
    await this.#finish();
  }

  async #sync(started: boolean): Promise<string> {
    await this.#volumes.refresh();
    if (!started) await this.#start();
    return '';
  }

  async #start(): Promise<void> {
    const { spec } = this.#pod;
    if (spec.initContainers.length > 0) throw new Error('init containers are not known to this kubelet');
    const { services, directory, node, address, haste, wire } = this.#surroundings;
    await mkdir(directory, { recursive: true });
    this.#network ??= spec.hostNetwork
      ? node.network
      : await NamespaceNetwork.open(address, { wire, directory: join(directory, 'n'), connect: services.connect });
    const network = this.#network;
    if (!spec.hostNetwork) {
      services.attach(
        network,
        spec.containers.flatMap(({ ports }) => ports.map(({ containerPort }) => containerPort)),
      );
    }
    this.#containers = spec.containers.map(
      (container) =>
        new Container(container, {
          restartPolicy: spec.restartPolicy,
          haste,
          network,
          launch: (command) => this.#launch(container, network, command),
          changed: () => this.#changed(),
        }),
    );
    for (const each of this.#containers) each.start();
  }

  async #launch(container: ContainerSpec, network: Network, command?: readonly string[]) {
    const { api, services, node, directory } = this.#surroundings;
    const { namespace = '' } = this.#pod.metadata;
    const environment = await environmentOf(container.env, this.#pod, {
      api,
      addresses: this.#addresses,
      services: services.variables(namespace, this.#pod.spec.enableServiceLinks),
    });
    const expanded = (words: readonly string[]) => words.map((word) => expand(word, environment));
    return await launch({
      pod: this.#pod,
      container,
      command: command ?? expanded(container.command),
      arguments: command === undefined ? expanded(container.args) : [],
      environment,
      enter: network.enter,
      directory: join(directory, 'c', container.name),
      volumePath: (name) => this.#volumes.pathOf(name),
      hostFolder: (path) => hostFolder(node.directory, path),
      hostProcesses: node.hostProcesses,
      operatorImage: this.#surroundings.operatorImage,
      logFile: this.#logFile(container.name),
    });
  }

  #logFile(container: string): string {
    return join(this.#surroundings.directory, `${container}.log`);
  }

  async #finish(): Promise<void> {
    const { deletionGracePeriodSeconds = 0 } = this.#pod.metadata;
    await Promise.all(this.#containers.map((each) => each.stop(deletionGracePeriodSeconds * 1000)));
    await this.#publish();
    if (!this.#pod.spec.hostNetwork && this.#network !== undefined) {
      this.#surroundings.services.detach(this.#network);
      await this.#network.close();
    }
    const { uid } = this.#pod.metadata;
    const options = { gracePeriodSeconds: 0, preconditions: { uid } };
    if (this.#pod.metadata.deletionTimestamp !== undefined) {
      await this.#surroundings.api.find('DELETE', pathOf(this.#pod), options).catch(ignoreConflict);
    }
    await rm(join(this.#surroundings.directory, 'v'), { recursive: true, force: true });
  }

  #changed(): void {
    this.#publishing = this.#publishing.then(() => this.#publish());
  }

  /** A refused status is written in the next round. */
  async #publish(): Promise<void> {
    const status = this.#status();
    const text = JSON.stringify(status);
    if (text === this.#published) return;
    try {
      const { uid } = this.#pod.metadata;
      await this.#surroundings.api.find('PATCH', `${pathOf(this.#pod)}/status`, { metadata: { uid }, status });
      this.#published = text;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  }

  #status(): object {
    const ready = this.#containers.length > 0 && this.#containers.every((each) => each.ready);
    const condition = (type: string, holds: boolean) => ({ type, status: holds ? 'True' : 'False' });
    return {
      phase: this.#phase(),
      startTime: this.#startTime,
      hostIP: this.#addresses.host,
      podIP: this.#addresses.pod,
      podIPs: [{ ip: this.#addresses.pod }],
      message: this.#trouble === '' ? null : this.#trouble,
      conditions: [
        condition('PodScheduled', true),
        condition('Initialized', true),
        condition('ContainersReady', ready),
        condition('Ready', ready),
      ],
      containerStatuses: this.#containers.map(({ status }) => status),
    };
  }

  #phase(): string {
    if (this.#containers.length === 0) return 'Pending';
    const codes = this.#containers.map(({ exitCode }) => exitCode);
    if (codes.some((code) => code === undefined)) return 'Running';
    return codes.every((code) => code === 0) ? 'Succeeded' : 'Failed';
  }
}

function pathOf({ metadata }: Pod): string {
  return `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}`;
}

/** Another object has that name by now. */
function ignoreConflict(error: unknown): void {
  if (!(error instanceof Refusal && error.code === 409)) throw error;
}

const errorText = (error: unknown) => (error instanceof Error ? error.message : String(error));
