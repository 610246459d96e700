// A whole system for an end-to-end test: control plane, operator, simulated hosts and agents, as processes.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { apiVersion } from '../../../crds/linux-utility-vm.ts';
import { SimulatedHostControl } from '../../../simulator/client/control.ts';
import { LocalSystem, type SystemSettings, threeHosts } from '../../../simulator/playground/system.ts';
import { ClusterApi } from '../control-plane/cluster-api.ts';
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from '../control-plane/control-plane.ts';
import { installCustomResources } from '../control-plane/custom-resources.ts';
import { type KubectlResult, kubectl, runKubectl } from '../control-plane/kubectl.ts';

const machine = z.looseObject({
  metadata: z.looseObject({ uid: z.string(), resourceVersion: z.string() }),
  status: z
    .looseObject({
      phase: z.string().optional(),
      nodeName: z.string().optional(),
      observedGeneration: z.number().optional(),
      runtimeID: z.string().optional(),
      startTime: z.string().optional(),
      restarts: z.number().optional(),
      lastExit: z.looseObject({ type: z.string() }).optional(),
      conditions: z.array(z.looseObject({ type: z.string(), status: z.string(), reason: z.string() })).default([]),
      guestLog: z.looseObject({ head: z.array(z.string()).default([]) }).optional(),
    })
    .default({ conditions: [] }),
});
const hosts = z.object({
  items: z.array(
    z.object({
      status: z
        .object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]) })
        .default({ conditions: [] }),
    }),
  ),
});
export type Machine = z.infer<typeof machine>;

/** Long enough for two busy cores. Normally a wait takes a second or two. */
const patience = 60_000;
const pollInterval = 100;

const resources = `/apis/${apiVersion}`;

export class RunningSystem implements AsyncDisposable {
  readonly controlPlane: ControlPlane;
  readonly system: LocalSystem;
  readonly #api: ClusterApi;
  readonly #directory: string;

  private constructor(controlPlane: ControlPlane, system: LocalSystem, directory: string) {
    this.controlPlane = controlPlane;
    this.system = system;
    this.#api = new ClusterApi(controlPlane.kubeconfigPath, 'test');
    this.#directory = directory;
  }

  static async start(
    hosts = threeHosts,
    customise: (controlPlane: ControlPlane, directory: string) => Promise<Partial<SystemSettings>> = async () => ({}),
    onPrepared: (system: LocalSystem) => void = () => {},
    options: ControlPlaneOptions = {},
  ): Promise<RunningSystem> {
    const directory = await mkdtemp(join(tmpdir(), 'e2e-'));
    const controlPlane = await startControlPlane(options);
    const custom = await customise(controlPlane, directory);
    const system = await LocalSystem.prepare({ cluster: controlPlane, directory, hosts, ...custom });
    onPrepared(system);
    const running = new RunningSystem(controlPlane, system, directory);
    try {
      await Promise.all([system.startHosts(), installCustomResources(controlPlane), system.createNodes()]);
      await system.startPrograms();
      await running.until('every host is connected', async () => (await running.connectedHosts()) === hosts.size);
      return running;
    } catch (error) {
      await running[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.system.stop();
    await this.controlPlane.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  kubectl(args: readonly string[], input?: string): Promise<string> {
    return kubectl(this.controlPlane, args, input);
  }

  tryKubectl(args: readonly string[], input?: string): Promise<KubectlResult> {
    return runKubectl(this.controlPlane, args, input);
  }

  async apply(name: string, spec: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const manifest = { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVM', metadata: { name }, spec };
    await this.kubectl(['apply', '--server-side', '-f', '-'], JSON.stringify(manifest));
  }

  async get(name: string): Promise<Machine | undefined> {
    const found = await this.#api.find('GET', `${resources}/namespaces/default/linuxutilityvms/${name}`);
    return found === undefined ? undefined : machine.parse(found);
  }

  /** Waits until the predicate holds for the VM. */
  async untilMachine(
    name: string,
    what: string,
    holds: (found: Machine) => boolean,
    milliseconds = patience,
  ): Promise<Machine> {
    let last: Machine | undefined;
    return await this.until(
      `${name} ${what}`,
      async () => {
        last = await this.get(name);
        return last !== undefined && holds(last) ? last : undefined;
      },
      milliseconds,
    ).catch((error: Error) => {
      throw new Error(`${error.message}; it is ${JSON.stringify(last?.status, undefined, 1)}`);
    });
  }

  async until<T>(what: string, probe: () => Promise<T | undefined | false>, milliseconds = patience): Promise<T> {
    const deadline = Date.now() + milliseconds;
    while (Date.now() < deadline) {
      const found = await probe();
      if (found !== undefined && found !== false) return found;
      await sleep(pollInterval);
    }
    throw new Error(`not within ${milliseconds / 1000} s: ${what}`);
  }

  async connectedHosts(): Promise<number> {
    const { items } = hosts.parse(await this.#api.send('GET', `${resources}/linuxutilityvmhosts`));
    const isConnected = ({ type, status }: { readonly type: string; readonly status: string }) =>
      type === 'Connected' && status === 'True';
    return items.filter(({ status }) => status.conditions.some(isConnected)).length;
  }

  /** The VM folders that the agent of the node still has. */
  stateOf(node: string): Promise<string[]> {
    return readdir(join(this.system.node(node).stateDir, 'vms'));
  }

  control(node: string): Promise<SimulatedHostControl> {
    return SimulatedHostControl.connect(this.system.node(node).hostSocket);
  }
}

export function condition(found: Machine, type: string) {
  return found.status.conditions.find((each) => each.type === type);
}

export const isReady = (found: Machine) => condition(found, 'Ready')?.status === 'True';
export const isRunning = (found: Machine) => found.status.phase === 'Running' && isReady(found);
