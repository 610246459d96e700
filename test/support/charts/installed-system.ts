// The system as the charts describe it, without containers: the operator with its rendered arguments and
// ServiceAccount, and an agent with a token that is bound to a pod of the rendered DaemonSet.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { ManagedProcess } from '../../../simulator/playground/managed-process.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/control-plane.ts';
import { kubectl } from '../control-plane/kubectl.ts';
import { helm } from './helm.ts';
import { RecordingProxy } from './recording-proxy.ts';
import { chartArguments, type Rendered, render } from './rendered.ts';

const namespace = 'lcow-system';
const nodeName = 'win-2025-a';
const agentPod = 'lcow-agent-of-node';
/** An operator leads after seconds, or after the duration of the Lease when the one before it was killed. */
const startMilliseconds = 60_000;
const scripts = fileURLToPath(new URL('../../../', import.meta.url));
const hostFile = fileURLToPath(new URL(`../../../simulator/playground/hosts/${nodeName}.yaml`, import.meta.url));

const template = z.object({
  spec: z.object({
    template: z.object({
      metadata: z.object({ labels: z.record(z.string(), z.string()) }),
      spec: z.looseObject({ containers: z.tuple([z.looseObject({ args: z.array(z.string()) })]) }),
    }),
  }),
});

export class InstalledSystem implements AsyncDisposable {
  readonly cluster: ControlPlane;
  readonly operator: ManagedProcess;
  /** The port at which the API server would reach the aggregated API. */
  readonly apiPort: number;
  readonly #agent: readonly ManagedProcess[];
  readonly #directory: string;
  #proxy: RecordingProxy | undefined;

  private constructor(
    cluster: ControlPlane,
    directory: string,
    apiPort: number,
    processes: readonly [ManagedProcess, ...ManagedProcess[]],
  ) {
    this.cluster = cluster;
    this.apiPort = apiPort;
    [this.operator, ...this.#agent] = processes;
    this.#directory = directory;
  }

  /** A cluster without any of our objects. */
  static async prepare(): Promise<InstalledSystem> {
    const directory = await mkdtemp(join(tmpdir(), 'installed-'));
    const [port, apiPort, cluster] = await Promise.all([freePort(), freePort(), startControlPlane()]);
    const processes = [
      await operatorProcess(directory, port, apiPort),
      hostProcess(directory),
      agentProcess(directory, port),
    ] as const;
    return new InstalledSystem(cluster, directory, apiPort, processes);
  }

  /** Installs both charts, by default with Helm. Starts no program. */
  static async install(deploy = deployWithHelm): Promise<InstalledSystem> {
    const system = await InstalledSystem.prepare();
    await kubectl(system.cluster, ['create', 'namespace', namespace]);
    for (const chart of ['lcow-operator', 'lcow-agent']) await deploy(system.cluster, chart);
    return system;
  }

  /** The operator's connection to the API server, once the operator was started. */
  get proxy(): RecordingProxy {
    if (this.#proxy === undefined) throw new Error('the operator was not started yet');
    return this.#proxy;
  }

  /** Acts like the node's kubelet: creates a pod, and files with its token and the CA. */
  async startAgent(): Promise<void> {
    const { cluster } = this;
    const daemonSet = template.parse(await rendered('lcow-agent', 'DaemonSet'));
    const { metadata, spec } = daemonSet.spec.template;
    await this.create({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: nodeName, labels: { 'kubernetes.io/os': 'windows' } },
    });
    const pod = { name: agentPod, namespace, labels: metadata.labels };
    await this.create({ apiVersion: 'v1', kind: 'Pod', metadata: pod, spec: { ...spec, nodeName } });
    const bound = ['--bound-object-kind=Pod', `--bound-object-name=${pod.name}`, '--audience=lcow-operator'];
    const token = await kubectl(cluster, ['create', 'token', 'lcow-agent', '-n', namespace, ...bound]);
    await writeFile(join(this.#directory, 'token'), token, { mode: 0o600 });
    const authority = ['get', 'configmap', 'lcow-operator-ca', '-n', namespace, '-o', 'jsonpath={.data.ca\\.crt}'];
    await writeFile(join(this.#directory, 'ca.crt'), await kubectl(cluster, authority));
    for (const process of this.#agent) await process.start();
  }

  /** Resolves when the operator leads and has published its CA. */
  async startOperator(): Promise<void> {
    this.#proxy ??= await RecordingProxy.open({
      server: this.cluster.server,
      authority: await readFile(join(this.cluster.directory, 'ca.crt')),
      token: (await kubectl(this.cluster, ['create', 'token', 'lcow-operator', '-n', namespace])).trim(),
      kubeconfigPath: join(this.#directory, 'kubeconfig'),
    });
    await this.operator.start();
    const wanted = [
      ['configmap', 'lcow-operator-ca', '{.data}', 'BEGIN CERTIFICATE'],
      ['lease', 'lcow-operator', '{.spec.holderIdentity}', '-'],
    ] as const;
    for (const [kind, name, path, text] of wanted) {
      const read = ['get', kind, name, '-n', namespace, '--ignore-not-found', '-o', `jsonpath=${path}`];
      const deadline = Date.now() + startMilliseconds;
      while (!(await kubectl(this.cluster, read)).includes(text)) {
        if (Date.now() > deadline) throw new Error(`${kind} ${name} has no ${path}\n${await this.logs()}`);
        await sleep(250);
      }
    }
  }

  async create(object: object): Promise<void> {
    await kubectl(this.cluster, ['create', '-f', '-'], JSON.stringify(object));
  }

  /** Acts like the kubelet when the pod has to end. */
  async stopAgent(): Promise<void> {
    for (const process of [...this.#agent].reverse()) await process.stop();
    await kubectl(this.cluster, ['delete', 'pod', agentPod, '-n', namespace, '--force', '--ignore-not-found']);
  }

  /** The output of the programs. */
  async logs(): Promise<string> {
    const files = [this.operator, ...this.#agent].map(({ program }) => program.logFile);
    return (await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')))).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of [...this.#agent].reverse()) await process.stop();
    await this.operator.stop();
    await this.#proxy?.[Symbol.asyncDispose]();
    await this.cluster.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

async function deployWithHelm(cluster: ControlPlane, chart: string): Promise<void> {
  await helm(['install', ...chartArguments({ chart })], cluster);
}

async function rendered(chart: string, kind: string): Promise<Rendered | undefined> {
  return (await render({ chart })).find((object) => object.kind === kind);
}

/** The chart's arguments, then those for this computer: ports, and the address of the API server. */
async function operatorProcess(directory: string, port: number, apiPort: number): Promise<ManagedProcess> {
  const [container] = template.parse(await rendered('lcow-operator', 'Deployment')).spec.template.spec.containers;
  const fromChart = container.args.map((argument) => argument.replace('$(LCOW_OPERATOR_SERVICE_HOST)', '127.0.0.1'));
  const ofThisMachine = [
    `--kubeconfig=${join(directory, 'kubeconfig')}`,
    '--bind-address=127.0.0.1',
    `--agents-port=${port}`,
    '--health-port=0',
    `--api-port=${apiPort}`,
  ];
  return process(directory, 'operator', 'operator/main.ts', [...fromChart, ...ofThisMachine]);
}

function hostProcess(directory: string): ManagedProcess {
  const folders = ['--socket', join(directory, 'host.sock'), '--state-dir', join(directory, 'host')];
  return process(directory, 'host', 'simulator/service/main.ts', [...folders, '--host', hostFile]);
}

function agentProcess(directory: string, port: number): ManagedProcess {
  return process(directory, 'agent', 'simulator/agent.ts', [
    `--operator-url=wss://127.0.0.1:${port}/v1/agents`,
    `--token-file=${join(directory, 'token')}`,
    `--ca-file=${join(directory, 'ca.crt')}`,
    `--state-dir=${join(directory, 'agent')}`,
    `--simulated-socket=${join(directory, 'host.sock')}`,
  ]);
}

function process(directory: string, name: string, script: string, arguments_: readonly string[]): ManagedProcess {
  return new ManagedProcess({
    name,
    script: join(scripts, script),
    arguments: arguments_,
    logFile: join(directory, `${name}.log`),
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => (typeof address === 'object' && address !== null ? resolve(address.port) : reject(server)));
    });
  });
}
