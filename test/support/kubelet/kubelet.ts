// A kubelet, a scheduler and a kube-proxy for tests. The Pods of chosen Nodes run as processes of this computer, so that
// installing, probing, rolling, testing and uninstalling charts is real although there is no container runtime.
//
// The same as in a cluster: Nodes with heartbeats; binding (a DaemonSet's pods by their node affinity, others by
// `nodeSelector`); commands, arguments, `$(NAME)`, environment with the variables of Services; volumes of ConfigMaps,
// Secrets, emptyDir, hostPath and projected sources, kept up to date, with bound tokens of the TokenRequest API; probes;
// restarts with back-off; phases, conditions and exit codes; graceful ends and the final deletion. Every pod has its own
// network namespace; pods with `hostNetwork` have that of their node. So programs do not interfere, and every port and
// loopback address is the one in the chart. Pods and nodes reach each other by their addresses. Services work by their
// cluster addresses, inside of pods and from the computer; the control plane makes their endpoints.
//
// Different from a cluster:
// - An image is a rule over the work tree (images.ts); nothing is pulled. A HostProcess container runs on a simulated
//   Windows.
// - There is no cluster DNS, no NetworkPolicy and no connection to other networks. A program cannot reach a Service on a
//   port that its own pod declares. From the computer only Services are reached.
// - Probes are `haste` times as frequent, and back-off is shorter. There are no resource limits, no eviction, no init or
//   ephemeral containers, and no `kubectl exec` and `logs`.
//
// Needs Linux with root, or user namespaces without root; util-linux, iproute2, and bridge and veth in the kernel.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Change, Reflector } from '../../../operator/kubernetes/reflector.ts';
import { Refusal } from '../control-plane/cluster-api.ts';
import type { Cluster } from '../control-plane/control-plane.ts';
import { Api } from './api.ts';
import type { LinuxImage } from './images.ts';
import { KubeletNode, type NodeSpec } from './node.ts';
import { type Pod, parsePod } from './objects.ts';
import { PodWorker } from './pod-worker.ts';
import { chooseNode } from './scheduling.ts';
import { Services } from './services.ts';
import { Wire } from './wire.ts';

const hasteDefault = 10;

export interface KubeletOptions {
  readonly haste?: number;
  /** Replaces the operator of the work tree. */
  readonly operatorImage?: LinuxImage | undefined;
}

export class Kubelet implements AsyncDisposable {
  readonly #api: Api;
  readonly #services: Services;
  readonly #pods: Reflector<Pod>;
  readonly #directory: string;
  readonly #haste: number;
  readonly #operatorImage: LinuxImage | undefined;
  readonly #wire: Wire;
  readonly #workers = new Map<string, PodWorker>();
  readonly #past: string[] = [];
  /** uid of a pod → node. */
  readonly #bound = new Map<string, string>();
  #nodes: readonly KubeletNode[] = [];
  #addresses = 0;

  private constructor(
    cluster: Pick<Cluster, 'kubeconfigPath' | 'server'>,
    { directory, wire }: { directory: string; wire: Wire },
    { haste = hasteDefault, operatorImage }: KubeletOptions,
  ) {
    this.#api = new Api(cluster.kubeconfigPath);
    this.#services = new Services(this.#api, cluster.server);
    this.#pods = this.#api.reflector('/api/v1/pods', parsePod);
    this.#directory = directory;
    this.#haste = haste;
    this.#operatorImage = operatorImage;
    this.#wire = wire;
  }

  static async start(
    cluster: Pick<Cluster, 'kubeconfigPath' | 'server'>,
    nodes: readonly NodeSpec[],
    options: KubeletOptions = {},
  ): Promise<Kubelet> {
    const wire = await Wire.lay();
    const kubelet = new Kubelet(cluster, { directory: await mkdtemp(join(tmpdir(), 'kubelet-')), wire }, options);
    await kubelet.#services.start();
    kubelet.#nodes = await Promise.all(nodes.map((spec) => kubelet.#register(spec)));
    kubelet.#pods.onChange((change) => kubelet.#onPod(change));
    kubelet.#pods.start();
    await kubelet.#pods.waitForSync();
    return kubelet;
  }

  node(name: string): KubeletNode {
    const node = this.#nodes.find((each) => each.name === name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }

  /** The output of the containers of all pods, including former ones. */
  async logs(): Promise<string> {
    const files = [...this.#past, ...[...this.#workers.values()].flatMap(({ logFiles }) => logFiles)];
    const texts = files.map(async (file) => `== ${file}\n${await readFile(file, 'utf8').catch(() => '')}`);
    return (await Promise.all(texts)).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pods.stop();
    await Promise.all([...this.#workers.values()].map((worker) => worker.kill()));
    await Promise.all(this.#nodes.map((node) => node.stop()));
    await this.#services.stop();
    await this.#wire.close();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #register(spec: NodeSpec): Promise<KubeletNode> {
    const directory = join(this.#directory, spec.name);
    const [api, services, wire] = [this.#api, this.#services, this.#wire];
    const parts = { api, services, wire, directory, address: this.#newAddress() };
    return await KubeletNode.register(spec, parts);
  }

  #onPod({ type, object: pod }: Change<Pod>): void {
    const worker = this.#workers.get(pod.metadata.uid);
    if (type === 'Deleted') this.#bound.delete(pod.metadata.uid);
    if (type === 'Deleted') void worker?.kill();
    else if (worker !== undefined) worker.update(pod);
    else if (pod.spec.nodeName !== undefined) this.#adopt(pod, pod.spec.nodeName);
    else void this.#bind(pod);
  }

  #adopt(pod: Pod, nodeName: string): void {
    const node = this.#nodes.find(({ name }) => name === nodeName);
    if (node === undefined) return;
    const { uid } = pod.metadata;
    this.#addresses += 1;
    const worker = new PodWorker(pod, {
      api: this.#api,
      services: this.#services,
      wire: this.#wire,
      operatorImage: this.#operatorImage,
      node,
      directory: join(this.#directory, `p${this.#addresses}`),
      address: this.#newAddress(),
      haste: this.#haste,
    });
    this.#workers.set(uid, worker);
    worker.update(pod);
    void worker.ended.then(() => {
      this.#workers.delete(uid);
      this.#past.push(...worker.logFiles);
    });
  }

  /** A pod that fits nowhere stays pending until it changes. */
  async #bind(pod: Pod): Promise<void> {
    const target = chooseNode(pod, this.#nodes, this.#bound);
    if (target === undefined) return;
    this.#bound.set(pod.metadata.uid, target.name);
    const { name, namespace } = pod.metadata;
    const body = { metadata: { name, uid: pod.metadata.uid }, target: { kind: 'Node', name: target.name } };
    await this.#api.send('POST', `/api/v1/namespaces/${namespace}/pods/${name}/binding`, body).catch(ignoreRefusal);
  }

  #newAddress(): string {
    this.#addresses += 1;
    return `10.244.${this.#addresses >> 8}.${this.#addresses & 255}`;
  }
}

/** The pod is already bound, or gone. */
function ignoreRefusal(error: unknown): void {
  if (!(error instanceof Refusal)) throw error;
}
