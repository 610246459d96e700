// A real operator for agents under wine, run as its chart does: it creates and publishes its own authority, and has the
// API server review the agents' tokens.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ManagedProcess } from '../../../simulator/playground/managed-process.ts';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { kubectl } from '../control-plane/kubectl.ts';
import { freePort } from '../processes/free-port.ts';

const namespace = 'lcow-system';
const agent = 'lcow-agent';
const project = fileURLToPath(new URL('../../../', import.meta.url));

export class OperatorProcess {
  readonly agentsPort: number;
  readonly logFile: string;
  /** Linux paths of the files that the kubelet gives an agent. */
  readonly tokenFile: string;
  readonly authorityFile: string;
  readonly #cluster: ControlPlane;
  readonly #process: ManagedProcess;

  private constructor(cluster: ControlPlane, directory: string, agentsPort: number, healthPort: number) {
    this.agentsPort = agentsPort;
    this.logFile = join(directory, 'operator.log');
    this.tokenFile = join(directory, 'token');
    this.authorityFile = join(directory, 'ca.crt');
    this.#cluster = cluster;
    this.#process = new ManagedProcess({
      name: 'operator',
      script: join(project, 'operator', 'main.ts'),
      arguments: [
        `--kubeconfig=${cluster.kubeconfigPath}`,
        `--namespace=${namespace}`,
        '--bind-address=127.0.0.1',
        `--agents-port=${agentsPort}`,
        `--health-port=${healthPort}`,
        '--api-port=0',
        `--agent-service-account=${agent}`,
        '--serving-name=127.0.0.1',
      ],
      logFile: this.logFile,
    });
  }

  /** Resolves when an agent of the node can connect. */
  static async start(cluster: ControlPlane, directory: string, node: string): Promise<OperatorProcess> {
    await mkdir(directory, { recursive: true });
    const operator = new OperatorProcess(cluster, directory, await freePort(), await freePort());
    await operator.#createObjects(node);
    await operator.#process.start();
    try {
      await operator.#layInFiles();
    } catch (error) {
      await operator.stop();
      throw error;
    }
    return operator;
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }

  /** Creates the node and the agent's pod on it. */
  async #createObjects(node: string): Promise<void> {
    const labels = { 'kubernetes.io/os': 'windows', 'kubernetes.io/hostname': node };
    const containers = [{ name: 'agent', image: 'none' }];
    const items = [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
      { apiVersion: 'v1', kind: 'Node', metadata: { name: node, labels } },
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: agent, namespace } },
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: agent, namespace },
        spec: { nodeName: node, serviceAccountName: agent, containers },
      },
    ];
    await kubectl(this.#cluster, ['create', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  }

  async #layInFiles(): Promise<void> {
    const bound = ['--bound-object-kind=Pod', `--bound-object-name=${agent}`, '--audience=lcow-operator'];
    const token = await kubectl(this.#cluster, ['create', 'token', agent, '-n', namespace, ...bound]);
    await writeFile(this.tokenFile, token, { mode: 0o600 });
    await writeFile(this.authorityFile, await this.#authority());
  }

  async #authority(): Promise<string> {
    const read = ['get', 'configmap', 'lcow-operator-ca', '-n', namespace, '--ignore-not-found'];
    const deadline = Date.now() + 60_000;
    while (Date.now() < deadline) {
      const found = await kubectl(this.#cluster, [...read, '-o', 'jsonpath={.data.ca\\.crt}']);
      if (found.includes('BEGIN CERTIFICATE')) return found;
      await sleep(100);
    }
    throw new Error(`the operator has not published its CA; see ${this.logFile}`);
  }
}
