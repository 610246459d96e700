// A Node of the process kubelet: the object and its heartbeats, a folder for its disks, its network, and on a Windows
// node the simulated compute service.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ManagedProcess } from '../../../simulator/playground/managed-process.ts';
import { Refusal } from '../control-plane/cluster-api.ts';
import type { Api } from './api.ts';
import { type HostProcesses, onSimulatedWindows } from './images.ts';
import { MachineNetwork, NamespaceNetwork, type Network } from './network.ts';
import type { Services } from './services.ts';
import type { Wire } from './wire.ts';

const simulatedHost = fileURLToPath(new URL('../../../simulator/service/main.ts', import.meta.url));
/** The same as a kubelet's. After 40 s without one, the control plane considers the node lost. */
const heartbeatMilliseconds = 10_000;

export interface NodeSpec {
  readonly name: string;
  /** Description of a simulated Windows host. Without it and `hostProcesses`, this is a Linux node. */
  readonly hostFile?: string;
  /** For another Windows, which uses the network of this computer. */
  readonly hostProcesses?: HostProcesses;
  readonly labels?: Readonly<Record<string, string>>;
}

interface NodeSurroundings {
  readonly api: Api;
  readonly services: Services;
  readonly wire: Wire;
  readonly directory: string;
  readonly address: string;
}

export class KubeletNode {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly directory: string;
  readonly network: Network;
  /** Set on a Windows node. */
  readonly hostProcesses: HostProcesses | undefined;
  readonly #api: Api;
  readonly #host: ManagedProcess | undefined;
  readonly #heartbeats: NodeJS.Timeout;

  private constructor(
    spec: NodeSpec,
    { api, directory, network, host }: { api: Api; directory: string; network: Network; host?: ManagedProcess },
  ) {
    this.name = spec.name;
    this.labels = labelsOf(spec);
    this.#api = api;
    this.directory = directory;
    this.network = network;
    this.#host = host;
    this.hostProcesses = host === undefined ? spec.hostProcesses : onSimulatedWindows(join(directory, 'compute'));
    this.#heartbeats = setInterval(() => void this.#beat().catch(() => {}), heartbeatMilliseconds);
    this.#heartbeats.unref();
  }

  static async register(
    spec: NodeSpec,
    { api, services, wire, directory, address }: NodeSurroundings,
  ): Promise<KubeletNode> {
    await mkdir(directory, { recursive: true });
    const network =
      spec.hostProcesses === undefined
        ? await NamespaceNetwork.open(address, { wire, directory: join(directory, 'n'), connect: services.connect })
        : new MachineNetwork(address);
    services.attach(network, []);
    const host = spec.hostFile === undefined ? undefined : hostProcess(spec.name, spec.hostFile, directory);
    await host?.start();
    const parts = { api, directory, network, ...(host === undefined ? {} : { host }) };
    const node = new KubeletNode(spec, parts);
    await node.#create();
    await node.#beat();
    return node;
  }

  async stop(): Promise<void> {
    clearInterval(this.#heartbeats);
    await this.network.close();
    await this.#host?.stop();
  }

  async #create(): Promise<void> {
    const metadata = { name: this.name, labels: this.labels };
    await this.#api.send('POST', '/api/v1/nodes', { metadata }).catch((error: unknown) => {
      if (!(error instanceof Refusal && error.code === 409)) throw error;
    });
  }

  /** The Lease is the heartbeat. The status removes the taints of a new node. */
  async #beat(): Promise<void> {
    const now = new Date().toISOString();
    const status = {
      capacity: { pods: '110', cpu: '4', memory: '64Gi' },
      allocatable: { pods: '110', cpu: '4', memory: '64Gi' },
      addresses: [{ type: 'InternalIP', address: this.network.address }],
      conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'it is', lastHeartbeatTime: now }],
    };
    await this.#api.send('PATCH', `/api/v1/nodes/${this.name}/status`, { status });
    const path = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
    const spec = {
      holderIdentity: this.name,
      leaseDurationSeconds: 40,
      renewTime: now.replace(/Z$/, '000Z'),
    };
    const renewed = await this.#api.find('PATCH', `${path}/${this.name}`, { spec });
    if (renewed === undefined) await this.#api.send('POST', path, { metadata: { name: this.name }, spec });
  }
}

function labelsOf({ name, hostFile, hostProcesses, labels = {} }: NodeSpec): Readonly<Record<string, string>> {
  const os = hostFile === undefined && hostProcesses === undefined ? 'linux' : 'windows';
  const usual = { 'kubernetes.io/os': os, 'kubernetes.io/arch': 'amd64', 'kubernetes.io/hostname': name };
  return { ...usual, ...labels };
}

function hostProcess(name: string, hostFile: string, directory: string): ManagedProcess {
  const files = ['--host', hostFile, '--state-dir', join(directory, 'host')];
  return new ManagedProcess({
    name: `host ${name}`,
    script: simulatedHost,
    arguments: ['--socket', join(directory, 'compute'), ...files],
    logFile: join(directory, 'host.log'),
  });
}
