// A whole agent under wine: the Windows build of Node runs `agent/main.ts` with a real operator on a real control
// plane. VMs run through koffi, the computecore.dll double and Hyper-V sockets.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { type ControlPlane, startControlPlane } from '../control-plane/control-plane.ts';
import { installCustomResources } from '../control-plane/custom-resources.ts';
import { kubectl } from '../control-plane/kubectl.ts';
import { windowsPath } from './bed.ts';
import { GuestHost } from './guest-host.ts';
import { HcsService } from './hcs-service.ts';
import { bootFiles, NodeDisk } from './node-disk.ts';
import { OperatorProcess } from './operator-process.ts';
import type { Windows, WindowsProgram } from './windows.ts';

const project = fileURLToPath(new URL('../../../', import.meta.url));
const node = 'win-wine';
const patience = 60_000;

const machine = z.looseObject({
  metadata: z.looseObject({ uid: z.string() }),
  status: z.looseObject({
    phase: z.string().optional(),
    nodeName: z.string().optional(),
    memorySizeInMB: z.number().optional(),
    runtimeID: z.string().optional(),
    restarts: z.number().optional(),
    policyDigest: z.string().optional(),
    lastExit: z.looseObject({ type: z.string() }).optional(),
    conditions: z.array(z.looseObject({ type: z.string(), status: z.string(), reason: z.string() })).default([]),
    guestLog: z.looseObject({ head: z.array(z.string()).default([]) }).optional(),
  }),
});
type Machine = z.infer<typeof machine>;

const diagnoses = z.array(z.looseObject({ check: z.string(), state: z.string() }));

const host = z.looseObject({ status: z.looseObject({ capacity: z.looseObject({}).optional() }) });

const isReady = ({ status }: Machine) =>
  status.conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True');

export interface AgentOptions {
  readonly healthPort?: number;
  readonly hcs?: HcsService;
}

export class AgentUnderWine implements AsyncDisposable {
  readonly nodeName = node;
  readonly guests: GuestHost;
  readonly #windows: Windows;
  readonly #controlPlane: ControlPlane;
  readonly #operator: OperatorProcess;
  readonly #disk: NodeDisk;
  readonly #agents = new Set<WindowsProgram>();
  #held: AsyncDisposableStack | undefined;

  private constructor(windows: Windows, guests: GuestHost, cluster: ControlPlane, operator: OperatorProcess) {
    this.#windows = windows;
    this.#disk = new NodeDisk(windows.bed.driveC);
    this.guests = guests;
    this.#controlPlane = cluster;
    this.#operator = operator;
  }

  static async prepare(windows: Windows): Promise<AgentUnderWine> {
    await using held = new AsyncDisposableStack();
    const directory = await mkdtemp(join(tmpdir(), 'agent-'));
    held.defer(() => rm(directory, { recursive: true, force: true }));
    const guests = held.use(await GuestHost.listen(windows.socketFolder));
    const cluster = await startControlPlane();
    held.defer(() => cluster.stop());
    await installCustomResources(cluster);
    const operator = await OperatorProcess.start(cluster, directory, node);
    held.defer(() => operator.stop());
    const prepared = new AgentUnderWine(windows, guests, cluster, operator);
    await prepared.#disk.prepare();
    prepared.#held = held.move();
    return prepared;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killAgents();
    await this.#held?.disposeAsync();
    await this.#disk[Symbol.asyncDispose]();
  }

  /** How the agent reaches the operator. */
  get #operatorFlags(): readonly string[] {
    return [
      `--operator-url=wss://127.0.0.1:${this.#operator.agentsPort}/v1/agents`,
      `--token-file=${windowsPath(this.#operator.tokenFile)}`,
      `--ca-file=${windowsPath(this.#operator.authorityFile)}`,
    ];
  }

  /** The outcome of each check of `lcow-agent doctor`. */
  async diagnosis(): Promise<ReadonlyMap<string, { readonly state: string }>> {
    const flags = ['doctor', '--json', ...this.#operatorFlags];
    const script = join(this.#windows.tree, 'agent/main.ts');
    const program = await this.#windows.start(script, flags, { guestHostPort: this.guests.port });
    await program.ended(patience);
    const output = await program.output();
    const line = output.split('\n').find((each) => each.startsWith('[')) ?? assert.fail(output);
    return new Map(diagnoses.parse(JSON.parse(line)).map(({ check, ...outcome }) => [check, outcome]));
  }

  /** An HCS for agents that are started with it, instead of one inside their process. */
  startHcs(): Promise<HcsService> {
    const files = Object.entries(bootFiles).map(
      ([name, content]) => [`C:\\Program Files\\Linux Containers\\${name}`, content.length] as const,
    );
    return HcsService.start(this.#windows.socketFolder, Object.fromEntries(files));
  }

  /** Starts the agent as its chart does, with the defaults for everything that has one. */
  async startAgent({ hcs, healthPort = 0 }: AgentOptions = {}): Promise<WindowsProgram> {
    const script = join(this.#windows.tree, 'agent/main.ts');
    const options = hcs && { servicePort: hcs.port };
    const flags = [...this.#operatorFlags, '--health-port', String(healthPort), '--isolation', 'snp'];
    const started = await this.#windows.start(script, flags, { ...options, guestHostPort: this.guests.port });
    this.#agents.add(started);
    return started;
  }

  async killAgents(): Promise<void> {
    await Promise.all([...this.#agents].map((agent) => agent.kill()));
    this.#agents.clear();
  }

  kubectl(args: readonly string[], input?: string): Promise<string> {
    return kubectl(this.#controlPlane, args, input);
  }

  async example(name: string): Promise<void> {
    await this.kubectl(['apply', '--server-side', '--filename', join(project, 'examples', `${name}.yaml`)]);
  }

  async apply(name: string, spec: Readonly<Record<string, unknown>>): Promise<void> {
    const manifest = { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVM', metadata: { name }, spec };
    await this.kubectl(['apply', '--server-side', '--filename', '-'], JSON.stringify(manifest));
  }

  async connected(agent: WindowsProgram): Promise<void> {
    await this.until('the agent is connected', agent, async () => {
      const path = '{.status.conditions[?(@.type=="Connected")].status}';
      return (await this.kubectl(['get', 'luvmhost', node, '--ignore-not-found', '-o', `jsonpath=${path}`])) === 'True';
    });
  }

  async host(): Promise<unknown> {
    return host.parse(JSON.parse(await this.kubectl(['get', 'luvmhost', node, '-o', 'json']))).status;
  }

  async get(name: string): Promise<Machine> {
    return machine.parse(JSON.parse(await this.kubectl(['get', 'luvm', name, '-o', 'json'])));
  }

  /** Waits until the VM runs and is ready, and until `more` holds. */
  async running(
    name: string,
    agent: WindowsProgram,
    holds: (found: Machine) => boolean = () => true,
  ): Promise<Machine> {
    return await this.until(`${name} is ready`, agent, async () => {
      const found = await this.get(name).catch(() => undefined);
      return found !== undefined && found.status.phase === 'Running' && isReady(found) && holds(found) && found;
    });
  }

  /** Deletes the VM, and checks that nothing of it is left in HCS, in native memory, or on the disk. */
  async deleted(name: string, agent: WindowsProgram): Promise<void> {
    await this.kubectl(['delete', 'luvm', name, '--timeout=30s']);
    assert.deepEqual(await readdir(join(this.#disk.stateDir, 'vms')), []);
    await this.until('HCS has got everything back', agent, async () => {
      const { state } = this.guests;
      return state?.systems.length === 0 && Object.values(state.counts).every((count) => count === 0);
    });
    await this.until(
      'the sockets are closed',
      agent,
      async () => (await readdir(this.#windows.socketFolder)).length === 0,
    );
  }

  /** The agent's files of a VM: names and contents. */
  async filesOf(uid: string): Promise<ReadonlyMap<string, string>> {
    const folder = join(this.#disk.stateDir, 'vms', uid);
    const names = await readdir(folder);
    return new Map(
      await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const)),
    );
  }

  async until<T>(what: string, agent: WindowsProgram, probe: () => Promise<T | undefined | false>): Promise<T> {
    const deadline = Date.now() + patience;
    while (Date.now() < deadline && !agent.hasEnded) {
      const found = await probe();
      if (found !== undefined && found !== false) return found;
      await sleep(50);
    }
    const problem = agent.hasEnded ? 'the agent ended' : `not within ${patience / 1000} s`;
    throw new Error(
      `${problem}: ${what}; the agent said\n${await agent.output()}\nand the operator\n${await this.#operatorSaid()}`,
    );
  }

  async #operatorSaid(): Promise<string> {
    return (await readFile(this.#operator.logFile, 'utf8')).split('\n').slice(-20).join('\n');
  }
}
