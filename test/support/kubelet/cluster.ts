// A control plane whose Pods run, so that a test does to a cluster what a user does.
import { randomInt } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { ToolResult } from '../charts/go-tool.ts';
import { helm, runHelm } from '../charts/helm.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/control-plane.ts';
import { type KubectlResult, kubectl, runKubectl } from '../control-plane/kubectl.ts';
import { Kubelet, type KubeletOptions } from './kubelet.ts';
import type { NodeSpec } from './node.ts';

const hostFile = (name: string) =>
  fileURLToPath(new URL(`../../../simulator/playground/hosts/${name}.yaml`, import.meta.url));

export class RunningCluster implements AsyncDisposable {
  readonly controlPlane: ControlPlane;
  readonly kubelet: Kubelet;

  private constructor(controlPlane: ControlPlane, kubelet: Kubelet) {
    this.controlPlane = controlPlane;
    this.kubelet = kubelet;
  }

  /** Two Linux nodes, and the named Windows nodes, which are simulated. */
  static async start(
    windowsNodes: readonly (string | NodeSpec)[] = ['win-2022-a', 'win-2025-a'],
    options: KubeletOptions = {},
  ): Promise<RunningCluster> {
    // The kubelet listens on these addresses, so they differ from those of other clusters on this computer.
    const serviceAddresses = `127.${randomInt(64, 255)}.${randomInt(0, 255)}.0/24`;
    const controlPlane = await startControlPlane({ serviceAddresses });
    try {
      const windows = windowsNodes.map((node) =>
        typeof node === 'string' ? { name: node, hostFile: hostFile(node) } : node,
      );
      const kubelet = await Kubelet.start(
        controlPlane,
        [{ name: 'linux-a' }, { name: 'linux-b' }, ...windows],
        options,
      );
      return new RunningCluster(controlPlane, kubelet);
    } catch (error) {
      await controlPlane.stop();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kubelet[Symbol.asyncDispose]();
    await this.controlPlane.stop();
  }

  /** Runs `kubectl` with the words of a line. */
  readonly $ = (line: string, input?: string): Promise<string> => kubectl(this.controlPlane, line.split(' '), input);

  readonly attempt = (line: string, input?: string): Promise<KubectlResult> =>
    runKubectl(this.controlPlane, line.split(' '), input);

  /** An error contains the output of the pods, which may be gone when somebody looks. */
  async helm(args: readonly string[]): Promise<string> {
    return await helm(args, this.controlPlane).catch(async (error: Error) => {
      const pods = await this.$('get pods --all-namespaces --output yaml');
      throw new Error(`${error.message}\n${pods}\n${await this.kubelet.logs()}`);
    });
  }

  runHelm(args: readonly string[]): Promise<ToolResult> {
    return runHelm(args, this.controlPlane);
  }
}
