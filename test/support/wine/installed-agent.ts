// Both unpacked images as a user runs them: Helm installs both charts on a cluster whose pods run; the operator's pods
// run their image's files; the pod of the Windows node runs the agent of its image under wine, with the chart's
// command, arguments, environment and projected token. Only substitutes for Windows libraries and ports are added.
import assert from 'node:assert/strict';
import { mkdir, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { programOf } from '../../../images/programs.ts';
import { makeRootFileSystem } from '../../../images/rootfs.ts';
import { chartArguments } from '../charts/rendered.ts';
import { RunningCluster } from '../kubelet/cluster.ts';
import { type HostProcesses, sandbox, unpackedOperator } from '../kubelet/images.ts';
import { freePort } from '../processes/free-port.ts';
import { windowsPath, wine } from './bed.ts';
import { GuestHost } from './guest-host.ts';
import { NodeDisk } from './node-disk.ts';
import type { Windows } from './windows.ts';

const project = fileURLToPath(new URL('../../../', import.meta.url));
const node = 'win-wine';
const ofAgent = '--selector app.kubernetes.io/name=lcow-agent --namespace lcow-system';

/** The folder of the agent's program, as Linux paths. */
export interface AgentProgram {
  readonly script: string;
  readonly node: string;
}

export class InstalledAgent implements AsyncDisposable {
  readonly nodeName = node;
  readonly #cluster: RunningCluster;
  readonly #guests: GuestHost;
  readonly #held: AsyncDisposableStack;
  readonly #disk: NodeDisk;

  private constructor(cluster: RunningCluster, guests: GuestHost, held: AsyncDisposableStack, disk: NodeDisk) {
    this.#cluster = cluster;
    this.#guests = guests;
    this.#held = held;
    this.#disk = disk;
  }

  /**
   * With the operator installed and ready. `installAgent` adds the agent, because two agents would share wine's disk.
   */
  static async prepare(windows: Windows, agent: Promise<AgentProgram>): Promise<InstalledAgent> {
    await using held = new AsyncDisposableStack();
    const disk = held.use(new NodeDisk(windows.bed.driveC));
    const guests = held.use(await GuestHost.listen(windows.socketFolder));
    const { folder } = await makeRootFileSystem(programOf('operator'), join(windows.folder, 'operator-image'));
    const hostProcesses = underWine(windows, await agent, guests.port);
    const options = { operatorImage: unpackedOperator(folder) };
    const cluster = held.use(await RunningCluster.start([{ name: node, hostProcesses }], options));
    const prepared = new InstalledAgent(cluster, guests, held.move(), disk);
    await cluster.$('create namespace lcow-system');
    await cluster.$('label namespace lcow-system pod-security.kubernetes.io/enforce=privileged');
    await prepared.#install('lcow-operator');
    return prepared;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#held.disposeAsync();
  }

  /** Resolves when the agent's pod is ready. */
  async installAgent(): Promise<void> {
    await this.#disk.prepare();
    await this.#install('lcow-agent', `healthPort=${await freePort()}`);
  }

  /** The pod's node, and whether the pod is ready. */
  async pod(): Promise<string> {
    return await this.#cluster.$(`get pods ${ofAgent} --output jsonpath={..nodeName}/{..containerStatuses[0].ready}`);
  }

  async connected(): Promise<void> {
    await this.#cluster.$(`wait --for=condition=Connected luvmhost/${node} --timeout=30s`).catch(this.#explain);
  }

  /** Runs one of `examples/`. */
  async run(name: string): Promise<void> {
    await this.#cluster.$(`apply --server-side --filename ${join(project, 'examples', `${name}.yaml`)}`);
    await this.#cluster.$(`wait --for=condition=Ready luvm/${name} --timeout=30s`).catch(this.#explain);
    const uid = await this.#cluster.$(`get luvm ${name} --output jsonpath={.metadata.uid}`);
    const system = this.#guests.state?.systems.find(({ id }) => id === `luvm-${uid}`);
    assert.equal(system?.state, 'Running');
    const runtimeId = await this.#cluster.$(`get luvm ${name} --output jsonpath={.status.runtimeID}`);
    assert.equal(runtimeId, system.runtimeId);
  }

  async delete(name: string): Promise<void> {
    await this.#cluster.$(`delete luvm ${name} --timeout=30s`);
    for (let attempt = 0; this.#guests.state?.systems.length !== 0; attempt += 1) {
      assert.ok(attempt < 600, 'HCS did not get everything back within 30 s');
      await sleep(50);
    }
  }

  async #install(chart: string, ...set: readonly string[]): Promise<void> {
    await this.#cluster.helm(['install', ...chartArguments({ chart, set }), '--wait', '--timeout', '60s']);
  }

  readonly #explain = async (error: unknown): Promise<never> => {
    throw new Error(`${String(error)}\n${await this.#cluster.kubelet.logs()}`);
  };
}

/** The image's files are in the container's folder, beside its volumes, as with containerd. */
function underWine(windows: Windows, program: AgentProgram, guestHostPort: number): HostProcesses {
  const home = dirname(program.node);
  return async ({ containerDirectory, words }) => {
    await mkdir(containerDirectory, { recursive: true });
    const files = join(containerDirectory, programOf('agent').folder);
    await rm(files, { force: true });
    await symlink(home, files);
    const [first = '', ...rest] = words.map((word) => word.replaceAll(sandbox, windowsPath(containerDirectory)));
    const added = ['--import', windows.doubles];
    // Modules are identified by their paths, and the agent's own koffi must load the doubles.
    const koffi = join(files, 'node_modules/koffi/index.js');
    return { words: [wine, first, ...added, ...rest], environment: windows.variables({ koffi, guestHostPort }) };
  };
}
