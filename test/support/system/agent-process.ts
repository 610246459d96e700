// A real agent and its simulated node as separate processes, with an operator that the test plays.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SimulatedHostControl } from '../../../simulator/client/control.ts';
import { BenchOperator } from '../../bench/agent-operator.ts';
import { chartNodeOptions } from '../../bench/chart-options.ts';

const bootFiles = ['vmlinux', 'kernel', 'initrd.img', 'rootfs.vhd', 'kernel.vmgs'];
const hostDescription = JSON.stringify({
  build: 26100,
  logicalProcessors: 64,
  memoryInMB: 1 << 20,
  isolation: ['SNP'],
  files: Object.fromEntries(bootFiles.map((name) => [`C:\\LinuxBootFiles\\${name}`, 1000])),
});

export class AgentProcess implements AsyncDisposable {
  readonly operator: BenchOperator;
  readonly control: SimulatedHostControl;
  readonly #folder: string;
  readonly #agent: ChildProcess;
  readonly #node: ChildProcess;
  readonly #healthPort: number;

  private constructor(
    folder: string,
    operator: BenchOperator,
    control: SimulatedHostControl,
    programs: { readonly agent: ChildProcess; readonly node: ChildProcess },
    healthPort: number,
  ) {
    this.#folder = folder;
    this.operator = operator;
    this.control = control;
    this.#agent = programs.agent;
    this.#node = programs.node;
    this.#healthPort = healthPort;
  }

  static async start(): Promise<AgentProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'agent-'));
    const [socket, hostFile, tokenFile] = [join(folder, 'hcs'), join(folder, 'host.yaml'), join(folder, 'token')];
    await writeFile(hostFile, hostDescription);
    await writeFile(tokenFile, 'token');
    const node = program('simulator/service/main.ts', [
      ...['--socket', socket, '--host', hostFile, '--state-dir', join(folder, 'node')],
    ]);
    if (node.stdout !== null) await once(node.stdout, 'data');
    const operator = await BenchOperator.listen();
    const healthPort = await freePort();
    const agent = program('simulator/agent.ts', [
      ...['--operator-url', operator.url, '--token-file', tokenFile, '--state-dir', join(folder, 'state')],
      ...['--simulated-socket', socket, '--health-port', String(healthPort)],
    ]);
    // Acts like a collector that reads everything.
    agent.stdout?.resume();
    await operator.connected;
    const control = await SimulatedHostControl.connect(socket);
    return new AgentProcess(folder, operator, control, { agent, node }, healthPort);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.kill('SIGKILL');
    this.#node.kill('SIGKILL');
    await this.control.close().catch(() => undefined);
    await this.operator[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }

  get pid(): number {
    if (this.#agent.pid === undefined) throw new Error('the agent did not start');
    return this.#agent.pid;
  }

  /** How long the probe took. */
  async healthMilliseconds(): Promise<number> {
    const begun = performance.now();
    const response = await fetch(`http://127.0.0.1:${this.#healthPort}/healthz`);
    await response.text();
    if (!response.ok) throw new Error(`/healthz answered ${response.status}`);
    return performance.now() - begun;
  }
}

function program(path: string, parameters: readonly string[]): ChildProcess {
  const script = fileURLToPath(new URL(`../../../${path}`, import.meta.url));
  const options = chartNodeOptions.split(' ');
  return spawn(process.execPath, [...options, script, ...parameters], { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
