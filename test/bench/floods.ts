// What guests can do to their neighbours by what they log: guests of one agent write the worst input without end, and
// meanwhile other VMs are started and the probes of the agent are asked. The agent and its simulated node are processes of
// their own, as in a release.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SimulatedHostControl } from '../../agent/hcs/simulated/control.ts';
import { BenchOperator } from './agent-operator.ts';
import { useOf } from './process-use.ts';

/** The input that took longest before it had bounds, and others of its kind. */
export const worstInputs = [
  '{\n',
  '1 ',
  '"" ',
  '""',
  '[]',
  '{"a":1e999}\n',
  '{"a":"\\x"}\n',
  '{"level":1}\n',
  'x\n',
  '[',
];
const blockBytes = 64 * 1024;
const startsMeasured = 9;
/** What `charts/lcow-agent` allows. */
export const memoryLimitMebibytes = 512;
export const promisedRatio = 2;
export const promisedHealthMilliseconds = 250;

export interface FloodFigures {
  readonly guests: number;
  /** From the assignment until the operator hears that it runs, in milliseconds. */
  readonly median: number;
  readonly worst: number;
  /** Of the probe. */
  readonly health: number;
  readonly residentMebibytes: number;
}

export async function benchFloods(counts: readonly number[] = [8, 200]): Promise<readonly FloodFigures[]> {
  await using host = await FloodedHost.start();
  const figures = [await host.measure(0)];
  for (const guests of counts) {
    await host.floodUpTo(guests);
    figures.push(await host.measure(guests));
  }
  return figures;
}

class FloodedHost implements AsyncDisposable {
  readonly #folder: string;
  readonly #operator: BenchOperator;
  readonly #control: SimulatedHostControl;
  readonly #agent: ChildProcess;
  readonly #node: ChildProcess;
  readonly #healthPort: number;
  #flooding: readonly string[] = [];

  private constructor(
    folder: string,
    operator: BenchOperator,
    control: SimulatedHostControl,
    programs: { readonly agent: ChildProcess; readonly node: ChildProcess },
    healthPort: number,
  ) {
    this.#folder = folder;
    this.#operator = operator;
    this.#control = control;
    this.#agent = programs.agent;
    this.#node = programs.node;
    this.#healthPort = healthPort;
  }

  static async start(): Promise<FloodedHost> {
    const folder = await mkdtemp(join(tmpdir(), 'floods-'));
    const [socket, hostFile, tokenFile] = [join(folder, 'hcs'), join(folder, 'host.yaml'), join(folder, 'token')];
    await writeFile(hostFile, hostDescription);
    await writeFile(tokenFile, 'token');
    const node = program('agent/hcs/simulated/main.ts', [
      ...['--socket', socket, '--host', hostFile, '--state-dir', join(folder, 'node')],
    ]);
    if (node.stdout !== null) await once(node.stdout, 'data');
    const operator = await BenchOperator.listen();
    const healthPort = await freePort();
    const agent = program('agent/main.ts', [
      ...['--operator-url', operator.url, '--token-file', tokenFile, '--state-dir', join(folder, 'state')],
      ...['--backend', 'simulated', '--simulated-socket', socket, '--health-port', String(healthPort)],
    ]);
    // Nobody reads what collectors would.
    agent.stdout?.resume();
    await operator.connected;
    const control = await SimulatedHostControl.connect(socket);
    return new FloodedHost(folder, operator, control, { agent, node }, healthPort);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.kill('SIGKILL');
    this.#node.kill('SIGKILL');
    await this.#control.close().catch(() => undefined);
    await this.#operator[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** So many guests write from now on, as fast as they are read. */
  async floodUpTo(guests: number): Promise<void> {
    const before = new Set(this.#operator.running);
    await this.#operator.run(guests - this.#flooding.length);
    const added = [...this.#operator.running].filter((uid) => !before.has(uid));
    for (const [index, uid] of added.entries()) {
      const unit = worstInputs[(this.#flooding.length + index) % worstInputs.length] ?? '';
      const block = unit.repeat(blockBytes / unit.length);
      // Ends with the host.
      this.#control.writeLog(`luvm-${uid}`, block, 1_000_000).catch(() => undefined);
    }
    this.#flooding = [...this.#flooding, ...added];
    await sleep(5_000);
  }

  async measure(guests: number): Promise<FloodFigures> {
    const probe = new Probe(this.#healthPort, this.#agent.pid ?? 0);
    const starts: number[] = [];
    for (let index = 0; index < startsMeasured; index += 1) {
      const begun = performance.now();
      await this.#operator.run(1);
      starts.push(performance.now() - begun);
    }
    const { health, residentMebibytes } = await probe.end();
    starts.sort((one, other) => one - other);
    const median = starts[starts.length >> 1] ?? Number.NaN;
    return { guests, median, worst: starts.at(-1) ?? Number.NaN, health, residentMebibytes };
  }
}

/** Asks as a kubelet does, only far more often. */
class Probe {
  readonly #over = new AbortController();
  readonly #ended: Promise<void>;
  #health = 0;
  #resident = 0;

  constructor(port: number, pid: number) {
    this.#ended = this.#run(port, pid);
  }

  async end(): Promise<{ readonly health: number; readonly residentMebibytes: number }> {
    this.#over.abort();
    await this.#ended;
    return { health: this.#health, residentMebibytes: this.#resident };
  }

  async #run(port: number, pid: number): Promise<void> {
    while (!this.#over.signal.aborted) {
      const begun = performance.now();
      const response = await fetch(`http://127.0.0.1:${port}/healthz`);
      await response.text();
      if (!response.ok) throw new Error(`/healthz answered ${response.status}`);
      this.#health = Math.max(this.#health, performance.now() - begun);
      this.#resident = Math.max(this.#resident, (await useOf(pid)).residentMebibytes);
      await sleep(50);
    }
  }
}

const hostDescription = JSON.stringify({
  build: 20348,
  logicalProcessors: 64,
  memoryInMB: 1 << 20,
  files: Object.fromEntries(['vmlinux', 'kernel', 'initrd.img'].map((name) => [`C:\\LinuxBootFiles\\${name}`, 1000])),
});

function program(path: string, parameters: readonly string[]): ChildProcess {
  const script = fileURLToPath(new URL(`../../${path}`, import.meta.url));
  return spawn(process.execPath, [script, ...parameters], { stdio: ['ignore', 'pipe', 'inherit'] });
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
