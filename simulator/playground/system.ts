// A whole system on one computer: an operator, and for each node a simulated Windows host and its agent, each in a
// separate process, with a real API server. `npm start` shows it; the end-to-end tests break it.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeCertificates } from '../../test/support/certificates.ts';
import type { Cluster } from '../../test/support/control-plane/control-plane.ts';
import { kubectl } from '../../test/support/control-plane/kubectl.ts';
import { apiServiceObjects } from './api-service.ts';
import { ManagedProcess, type ProcessEvent } from './managed-process.ts';

type KubernetesAccess = Omit<Cluster, 'stop'>;

export interface SystemSettings {
  readonly cluster: KubernetesAccess;
  /** For sockets, state folders and logs. Short, because the path of a Unix socket has room for about 100 bytes. */
  readonly directory: string;
  /** Node name → host file. */
  readonly hosts: ReadonlyMap<string, string>;
  /** Names of the hosts whose VMs are emulated, with a real Linux guest. */
  readonly emulated?: ReadonlySet<string>;
  readonly onEvent?: (event: ProcessEvent) => void;
  /** Additional flags for the operator and the agents. */
  readonly operatorFlags?: readonly string[];
  readonly agentFlags?: readonly string[];
  /** Flags of the operator's Node. */
  readonly operatorNodeFlags?: readonly string[];
  /** Modules that are loaded into the operator before its script. */
  readonly operatorPreloaded?: readonly string[];
  /** The operators, one by default. Each reaches the API server by its own kubeconfig. */
  readonly replicas?: readonly { readonly kubeconfigPath: string }[];
  /** The port that agents connect to, if not the first operator's. */
  readonly agentsService?: number;
}

export interface OperatorReplica {
  readonly process: ManagedProcess;
  readonly agentsPort: number;
  readonly healthPort: number;
  /** Port of the aggregated API. */
  readonly apiPort: number;
}

type ReplicaPorts = Omit<OperatorReplica, 'process'>;

export interface SimulatedNode {
  readonly name: string;
  readonly host: ManagedProcess;
  readonly hostSocket: string;
  readonly agent: ManagedProcess;
  readonly stateDir: string;
  /** Port of the agent's metrics. */
  readonly healthPort: number;
}

const project = fileURLToPath(new URL('../../', import.meta.url));
const hostsFolder = fileURLToPath(new URL('./hosts/', import.meta.url));

/** Marks nodes with real guests: only VMs that ask for one are placed there. */
const emulatedMark = { key: 'playground.lcow.dev/guest', value: 'qemu' } as const;

/** A node with real guests. */
export const emulatedHost: readonly [string, string] = ['emulated-a', join(hostsFolder, 'emulated-a.yaml')];

/** Three nodes of different builds. */
export const threeHosts: ReadonlyMap<string, string> = new Map(
  ['win-2019-a', 'win-2022-a', 'win-2025-a'].map((name) => [name, join(hostsFolder, `${name}.yaml`)]),
);

const letters = 'abcdefghijklmnopqrstuvwxyz';
export const mostHosts = threeHosts.size * letters.length;

/** So many nodes, at most `mostHosts`, of these builds in turn. */
export function simulatedHosts(count: number): ReadonlyMap<string, string> {
  const builds = [...threeHosts];
  const all = [...letters].flatMap((letter) =>
    builds.map(([name, file]): [string, string] => [name.replace(/a$/, letter), file]),
  );
  return new Map(all.slice(0, count));
}

export class LocalSystem {
  readonly replicas: readonly [OperatorReplica, ...OperatorReplica[]];
  readonly nodes: readonly SimulatedNode[];
  readonly #settings: SystemSettings;

  private constructor(
    settings: SystemSettings,
    ports: ReadonlyMap<string, ReplicaPorts>,
    agentPorts: ReadonlyMap<string, number>,
  ) {
    this.#settings = settings;
    const { replicas = [settings.cluster] } = settings;
    const [first, ...others] = [...ports].map(([name, portsOfReplica], index) => {
      const { kubeconfigPath } = replicas[index] ?? settings.cluster;
      return this.#replica(name, kubeconfigPath, portsOfReplica);
    });
    if (first === undefined) throw new Error('a system needs an operator');
    this.replicas = [first, ...others];
    this.nodes = [...settings.hosts].map(([name, hostFile]) => this.#node(name, hostFile, agentPorts.get(name) ?? 0));
  }

  /** Creates folders, certificates and tokens. Starts nothing. */
  static async prepare(settings: SystemSettings): Promise<LocalSystem> {
    const { directory } = settings;
    for (const folder of ['logs', 'pki', 'state', 'nodes']) await mkdir(join(directory, folder), { recursive: true });
    const certificates = await makeCertificates();
    const names = (settings.replicas ?? [settings.cluster]).map(
      (_, index) => `operator${index === 0 ? '' : `-${index + 1}`}`,
    );
    const ports = new Map<string, ReplicaPorts>();
    for (const name of names) {
      ports.set(name, { agentsPort: await freePort(), healthPort: await freePort(), apiPort: await freePort() });
    }
    await writeFile(join(directory, 'pki', 'ca.crt'), certificates.authority);
    await writeFile(join(directory, 'pki', 'tls.crt'), certificates.serving.certificate);
    await writeFile(join(directory, 'pki', 'tls.key'), certificates.serving.key, { mode: 0o600 });
    const tokens = [...settings.hosts.keys()].map((name) => [`token-of-${name}`, name] as const);
    await writeFile(join(directory, 'pki', 'tokens.json'), JSON.stringify(Object.fromEntries(tokens)), { mode: 0o600 });
    for (const [token, name] of tokens)
      await writeFile(join(directory, 'pki', `${name}.token`), token, { mode: 0o600 });
    const agentPorts = new Map<string, number>();
    for (const name of settings.hosts.keys()) agentPorts.set(name, await freePort());
    return new LocalSystem(settings, ports, agentPorts);
  }

  get operator(): ManagedProcess {
    return this.replicas[0].process;
  }

  get healthPort(): number {
    return this.replicas[0].healthPort;
  }

  /** Starts the simulated Windows nodes. Needs no API server. */
  async startHosts(): Promise<void> {
    await Promise.all(this.nodes.map(({ host }) => host.start()));
  }

  /** Creates the Node objects, because there is no kubelet. */
  async createNodes(): Promise<void> {
    const items = this.nodes.map(({ name }) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name,
        labels: {
          'kubernetes.io/os': 'windows',
          'kubernetes.io/hostname': name,
          'lcow.dev/playground': 'true',
          ...(this.#isEmulated(name) && { [emulatedMark.key]: emulatedMark.value }),
        },
      },
      ...(this.#isEmulated(name) && { spec: { taints: [{ ...emulatedMark, effect: 'NoSchedule' }] } }),
    }));
    await kubectl(
      this.#settings.cluster,
      ['apply', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    );
  }

  async startPrograms(): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.process.start()));
    await Promise.all(this.nodes.map(({ agent }) => agent.start()));
  }

  /** Makes `kubectl luvm` work: the API server reaches the first operator, or the given port on this computer. */
  async installApiService(port = this.replicas[0].apiPort): Promise<void> {
    const authority = await readFile(join(this.#settings.directory, 'pki', 'ca.crt'));
    const objects = apiServiceObjects(port, authority.toString('base64'));
    await kubectl(this.#settings.cluster, ['apply', '-f', '-'], JSON.stringify(objects));
  }

  node(name: string): SimulatedNode {
    const node = this.nodes.find((each) => each.name === name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map(({ agent }) => agent.stop()));
    await Promise.all([
      ...this.replicas.map((replica) => replica.process.stop()),
      ...this.nodes.map(({ host }) => host.stop()),
    ]);
  }

  #isEmulated(name: string): boolean {
    return this.#settings.emulated?.has(name) === true;
  }

  #replica(name: string, kubeconfigPath: string, ports: ReplicaPorts): OperatorReplica {
    const { agentsPort, apiPort, healthPort } = ports;
    const { directory, operatorFlags = [], operatorNodeFlags = [], operatorPreloaded = [], onEvent } = this.#settings;
    const flags = [
      ['--kubeconfig', kubeconfigPath],
      ['--bind-address', '127.0.0.1'],
      ['--agents-port', String(agentsPort)],
      ['--health-port', String(healthPort)],
      ['--api-port', String(apiPort)],
      ['--agent-tokens', join(directory, 'pki', 'tokens.json')],
      ['--tls-certificate', join(directory, 'pki', 'tls.crt')],
      ['--tls-key', join(directory, 'pki', 'tls.key')],
    ].flat();
    const program = {
      name,
      script: join(project, 'operator', 'main.ts'),
      arguments: [...flags, ...operatorFlags],
      nodeFlags: operatorNodeFlags,
      preloaded: operatorPreloaded,
      logFile: join(directory, 'logs', `${name}.log`),
    };
    return { process: new ManagedProcess(program, onEvent), ...ports };
  }

  #node(name: string, hostFile: string, healthPort: number): SimulatedNode {
    const { directory, agentFlags = [], agentsService, onEvent } = this.#settings;
    const hostSocket = join(directory, `${name}.sock`);
    const stateDir = join(directory, 'state', name);
    const host = {
      name: `host ${name}`,
      script: join(project, 'simulator', 'service', 'main.ts'),
      arguments: ['--socket', hostSocket, '--host', hostFile, '--state-dir', join(directory, 'nodes', name)],
      logFile: join(directory, 'logs', `host-${name}.log`),
    };
    const flags = [
      ['--operator-url', `wss://127.0.0.1:${agentsService ?? this.replicas[0].agentsPort}/v1/agents`],
      ['--token-file', join(directory, 'pki', `${name}.token`)],
      ['--ca-file', join(directory, 'pki', 'ca.crt')],
      ['--state-dir', stateDir],
      ['--simulated-socket', hostSocket],
      ['--node-name', name],
      ['--health-port', String(healthPort)],
    ].flat();
    // A simulated node has no pipe or device worth protecting.
    const simulated = [
      '--allowed-path',
      'C:\\disks',
      'C:\\shares',
      'C:\\images:ro',
      '--allowed-pipe',
      '*',
      '--allowed-device',
      '*',
    ];
    const program = this.#isEmulated(name)
      ? { script: fileURLToPath(new URL('../../test/support/guest/qemu-agent.ts', import.meta.url)), arguments: flags }
      : { script: join(project, 'simulator', 'agent.ts'), arguments: [...flags, ...simulated, ...agentFlags] };
    const agent = {
      ...program,
      name: `agent ${name}`,
      logFile: join(directory, 'logs', `agent-${name}.log`),
    };
    return {
      name,
      host: new ManagedProcess(host, onEvent),
      hostSocket,
      agent: new ManagedProcess(agent, onEvent),
      stateDir,
      healthPort,
    };
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}
