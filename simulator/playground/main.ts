// `npm start`: the whole system on this computer, with simulated Windows hosts and a real API server.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import { messageOf } from '../../runtime/error-text.ts';
import { type Cluster, startControlPlane, useCluster } from '../../test/support/control-plane/control-plane.ts';
import { installCustomResources } from '../../test/support/control-plane/custom-resources.ts';
import { kubectl } from '../../test/support/control-plane/kubectl.ts';
import { prepareBed } from '../../test/support/guest/bed.ts';
import { bootFilesEnvironment, ownBootFiles } from '../../test/support/guest/own-boot-files.ts';
import { ClusterView } from './cluster-view.ts';
import {
  chooseExamples,
  type Example,
  isAsExpected,
  readExamples,
  stateOf,
  UnknownExampleError,
} from './expectation.ts';
import { GuestLines } from './guest-lines.ts';
import type { ProcessEvent } from './managed-process.ts';
import { emulatedHost, LocalSystem, mostHosts, simulatedHosts, threeHosts } from './system.ts';
import { renderTables } from './table.ts';

interface Arguments {
  readonly kubeconfig?: string;
  readonly directory?: string;
  readonly once: boolean;
  readonly timeout?: number;
  readonly hosts: number;
  readonly guest: 'simulated' | 'qemu';
  readonly example?: readonly string[];
  readonly kernel?: string;
  readonly initrd?: string;
}

const projectFolder = fileURLToPath(new URL('../../', import.meta.url));
const examplesFolder = join(projectFolder, 'examples');
const guestsFolder = fileURLToPath(new URL('./guests/', import.meta.url));
const redrawMilliseconds = 1_000;
/** How long `--once` waits. A real guest boots slowly, because it is emulated. */
const patienceSeconds = { simulated: 60, qemu: 300 } as const;

const say = (line: string) => process.stdout.write(`${line}\n`);

class Playground {
  readonly #cluster: Cluster;
  readonly #system: LocalSystem;
  readonly #view: ClusterView;
  readonly #examples: readonly Example[];
  readonly #lines: GuestLines;
  readonly #told = new Map<string, string>();
  #changed = Promise.withResolvers<void>();

  private constructor(cluster: Cluster, system: LocalSystem, examples: readonly Example[]) {
    this.#cluster = cluster;
    this.#system = system;
    this.#examples = examples;
    this.#lines = new GuestLines(system.nodes.map(({ agent }) => agent.program.logFile));
    this.#view = new ClusterView(cluster, () => {
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    });
  }

  static async start(settings: Arguments, directory: string): Promise<Playground> {
    const begun = Date.now();
    const step = (what: string) => say(`${((Date.now() - begun) / 1000).toFixed(1).padStart(5)} s  ${what}`);
    const hasRealGuests = settings.guest === 'qemu';
    const folders = hasRealGuests ? [examplesFolder, guestsFolder] : [examplesFolder];
    const examples = chooseExamples(await readExamples(folders), settings.example);
    if (hasRealGuests) await prepareRealGuests(settings, step);
    step(
      settings.kubeconfig === undefined ? 'starting a control plane' : `using the cluster of ${settings.kubeconfig}`,
    );
    const cluster = await openCluster(settings);
    const hosts = simulatedHosts(settings.hosts);
    const system = await LocalSystem.prepare({
      cluster,
      directory,
      hosts: hasRealGuests ? new Map([...hosts, emulatedHost]) : hosts,
      emulated: new Set(hasRealGuests ? [emulatedHost[0]] : []),
      onEvent: (event) => say(describe(event)),
    });
    try {
      step('installing the custom resources');
      await Promise.all([system.startHosts(), installCustomResources(cluster), system.createNodes()]);
      step(`starting an operator and ${system.nodes.length} agents`);
      await system.startPrograms();
      // The API server of an existing cluster cannot reach an operator on this computer.
      if (settings.kubeconfig === undefined) await system.installApiService();
      const playground = new Playground(cluster, system, examples);
      playground.#view.start();
      const files = [...new Set(examples.map(({ file }) => file))];
      step(`applying ${files.map((file) => relative(projectFolder, file)).join(', ')}`);
      await kubectl(cluster, ['apply', '--server-side', ...files.flatMap((file) => ['-f', file])]);
      return playground;
    } catch (error) {
      await system.stop();
      await cluster.stop();
      throw error;
    }
  }

  instructions(directory: string): string {
    const command = `${this.#cluster.kubectl} --kubeconfig ${this.#cluster.kubeconfigPath}`;
    const agent = this.#system.nodes[0]?.agent;
    const [, vm] = this.#examples[0]?.key.split('/') ?? [];
    return [
      '',
      'Try it from another terminal:',
      `  ${command} get luvm -A -o wide`,
      `  ${command} describe luvm ${vm}`,
      `  ${process.execPath} ${join(projectFolder, 'kubectl', 'main.ts')} --kubeconfig ${this.#cluster.kubeconfigPath} logs -f ${vm}`,
      ...(this.#hasRealGuests ? [`  ${command} get luvm real-guest -o yaml`] : []),
      `  ${command} get luvmhost`,
      `  ${command} patch luvm ${vm} --type merge -p '{"spec":{"runStrategy":"Halted"}}'`,
      `  ${command} delete luvm ${vm}`,
      `Metrics of the operator: http://127.0.0.1:${this.#system.healthPort}/metrics; of the agents: ` +
        this.#system.nodes.map(({ name, healthPort }) => `${name} http://127.0.0.1:${healthPort}/metrics`).join(', '),
      `Logs: ${join(directory, 'logs')} · state folders of the agents: ${join(directory, 'state')}`,
      `Processes (each is started again when it ends): operator ${this.#system.operator.pid}, ` +
        this.#system.nodes.map(({ name, agent }) => `agent ${name} ${agent.pid}`).join(', '),
      ...(agent === undefined ? [] : [`An agent by hand: ${agent.commandLine}`]),
      'Ctrl-C stops everything and removes it.',
      '',
    ].join('\n');
  }

  get #hasRealGuests(): boolean {
    return this.#system.nodes.some(({ name }) => name === emulatedHost[0]);
  }

  get settled(): boolean {
    return this.#examples.every((example) => isAsExpected(example, this.#view.machines.get(example.key)));
  }

  /** Resolves when the cluster reports a change, at the latest after a second. */
  async change(signal: AbortSignal): Promise<void> {
    const timer = new AbortController();
    const ends = AbortSignal.any([signal, timer.signal]);
    await Promise.race([
      this.#changed.promise,
      sleep(redrawMilliseconds, undefined, { signal: ends }).catch(() => undefined),
    ]);
    timer.abort();
    await this.#lines.read();
  }

  tables(width: number): string {
    const contents = {
      machines: this.#view.machines.values(),
      hosts: this.#view.hosts.values(),
      latestLine: (vm: string) => this.#lines.of(vm),
    };
    return renderTables(contents, Date.now(), width);
  }

  /** Prints each VM whose state has changed. */
  tell(): void {
    for (const [key, machine] of this.#view.machines) {
      const state = `${stateOf(machine)}${machine.status?.nodeName === undefined ? '' : ` on ${machine.status.nodeName}`}`;
      if (this.#told.get(key) === state) continue;
      this.#told.set(key, state);
      say(`  ${key}: ${state}`);
    }
  }

  missing(): string[] {
    return this.#examples
      .filter((example) => !isAsExpected(example, this.#view.machines.get(example.key)))
      .map(({ key, file, expected }) => {
        const actual = stateOf(this.#view.machines.get(key));
        return `${relative(examplesFolder, file)}: ${key} shall be ${expected} and is ${actual}`;
      });
  }

  async stop(): Promise<void> {
    this.#view.stop();
    await this.#system.stop();
    await this.#cluster.stop();
  }
}

/** Prepares the agent of real guests on this computer and reports slow steps. */
async function prepareRealGuests({ initrd, kernel }: Arguments, step: (what: string) => void): Promise<void> {
  try {
    const own = ownBootFiles({ kernel, initrd });
    const bed = await prepareBed({ own, tell: step });
    // The agent is a separate process that inherits the environment.
    Object.assign(process.env, bootFilesEnvironment(own));
    step(`real guests boot ${bed.kernel} and ${bed.initrd}`);
  } catch (error) {
    throw new UnavailableError(`--guest qemu: real guests are not available on this machine: ${messageOf(error)}`);
  }
}

/** Printed without a stack, because the cause is this computer. */
class UnavailableError extends Error {}

/** Nothing here needs what a controller manager does. */
async function openCluster({ kubeconfig }: Arguments): Promise<Cluster> {
  return kubeconfig === undefined ? await startControlPlane({ controllers: false }) : await useCluster(kubeconfig);
}

function describe(event: ProcessEvent): string {
  if (event.kind === 'restarted') return `  ${event.program} was started again, process ${event.pid}`;
  return `  ${event.program} ended (${event.how})${event.restarting ? '; it is started again' : ''}`;
}

async function runOnce(playground: Playground, seconds: number, signal: AbortSignal): Promise<number> {
  const deadline = Date.now() + seconds * 1000;
  while (!playground.settled && Date.now() < deadline && !signal.aborted) {
    await playground.change(signal);
    playground.tell();
  }
  say(`\n${playground.tables(Number.POSITIVE_INFINITY)}\n`);
  const missing = playground.missing();
  for (const line of missing) say(`not as expected: ${line}`);
  if (missing.length === 0) say('Every example is in its expected state.');
  return missing.length === 0 ? 0 : 1;
}

async function runLive(playground: Playground, instructions: string, signal: AbortSignal): Promise<number> {
  while (!signal.aborted) {
    await playground.change(signal);
    if (process.stdout.isTTY) {
      process.stdout.write(`\u001b[H\u001b[J${playground.tables(process.stdout.columns)}\n${instructions}`);
    } else playground.tell();
  }
  return 0;
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('must be a number of seconds above 0');
  return value;
}

function hostCount(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= mostHosts) return value;
  throw new InvalidArgumentError(`must be a number of hosts from 1 to ${mostHosts}`);
}

async function main(): Promise<number> {
  const command = new Command('npm start --')
    .description('Runs the operator and agents on this machine with simulated Windows hosts, and applies examples/.')
    .option(
      '--kubeconfig <file>',
      'use this cluster instead of a new control plane (creates a Node object for each host)',
    )
    .option('--directory <path>', 'folder for sockets, state and logs, kept afterwards (default: a temporary folder)')
    .option('--hosts <number>', 'how many simulated hosts there are', hostCount, threeHosts.size)
    .option('--example <name...>', 'apply only these examples, by file name without .yaml')
    .option('--once', 'end as soon as every example has reached its expected state', false)
    .option('--timeout <seconds>', 'how long --once waits (default: 60, with real guests 300)', positiveNumber)
    .addOption(
      new Option('--guest <kind>', 'qemu adds a node with real guests under emulation, and a VM on it')
        .choices(['simulated', 'qemu'])
        .default('simulated'),
    )
    .option('--kernel <file>', 'your own kernel for real guests (see docs/guests.md)')
    .option('--initrd <file>', 'your own initial ramdisk for real guests')
    .parse();
  const settings = command.opts<Arguments>();
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());
  const directory = settings.directory ?? (await mkdtemp(join(tmpdir(), 'lcow-')));
  const playground = await Playground.start(settings, directory);
  try {
    const instructions = playground.instructions(directory);
    say(instructions);
    return settings.once
      ? await runOnce(playground, settings.timeout ?? patienceSeconds[settings.guest], stop.signal)
      : await runLive(playground, instructions, stop.signal);
  } finally {
    say('stopping');
    await playground.stop();
    if (settings.directory === undefined) await rm(directory, { recursive: true, force: true });
  }
}

process.exitCode = await main().catch((error: unknown) => {
  if (!(error instanceof UnavailableError || error instanceof UnknownExampleError)) throw error;
  process.stderr.write(`${error.message}\n`);
  return 1;
});
