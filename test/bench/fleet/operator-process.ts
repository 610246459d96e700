// The operator under test, in its own process.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ManagedProcess } from '../../../simulator/playground/managed-process.ts';
import type { Certificates } from '../../support/certificates.ts';
import { operatorProgram } from '../operator-program.ts';
import { useOf } from '../process-use.ts';
import { nodeOf, tokenOf } from './agents/agents.ts';

const patienceMilliseconds = 120_000;
const pollMilliseconds = 50;

export interface OperatorSettings {
  /** For files of the operator. */
  readonly directory: string;
  readonly kubeconfigPath: string;
  readonly certificates: Certificates;
  readonly agents: number;
  /** A folder for V8's processor profiles. */
  readonly profile: string | undefined;
}

/** Since the operator began. */
export interface Passes {
  readonly passes: number;
  readonly processorSeconds: number;
}

export class OperatorProcess implements AsyncDisposable {
  readonly #settings: OperatorSettings;
  #program: ManagedProcess | undefined;
  #starts = 0;

  private constructor(settings: OperatorSettings) {
    this.#settings = settings;
  }

  static async prepare(settings: OperatorSettings): Promise<OperatorProcess> {
    const { directory, certificates, agents } = settings;
    const tokens = Array.from({ length: agents }, (_, index) => [tokenOf(index), nodeOf(index)]);
    const files = {
      'tls.crt': certificates.serving.certificate,
      'tls.key': certificates.serving.key,
      'tokens.json': JSON.stringify(Object.fromEntries(tokens)),
    };
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
    return new OperatorProcess(settings);
  }

  get pid(): number {
    const pid = this.#program?.pid;
    if (pid === undefined) throw new Error('the operator does not run');
    return pid;
  }

  /** Resolves once it leads, with the port for agents. */
  async start(): Promise<number> {
    this.#starts += 1;
    this.#program = this.#create();
    await this.#program.start();
    const deadline = performance.now() + patienceMilliseconds;
    while (performance.now() < deadline) {
      const log = await this.#log();
      if (log.includes('"msg":"leads"')) return portIn(log, 'agents');
      await sleep(pollMilliseconds);
    }
    throw new Error('the operator did not come to lead');
  }

  async stop(): Promise<void> {
    await this.#program?.stop();
    this.#program = undefined;
  }

  async residentMebibytes(): Promise<number> {
    return (await useOf(this.pid)).residentMebibytes;
  }

  /** Passes of all work queues. */
  async passes(): Promise<Passes> {
    const port = portIn(await this.#log(), 'health');
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const counts = [...text.matchAll(/^workqueue_work_duration_seconds_count\{[^}]*\} (\d+)$/gm)];
    const passes = counts.reduce((sum, [, count]) => sum + Number(count), 0);
    return { passes, processorSeconds: (await useOf(this.pid)).processorSeconds };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #create(): ManagedProcess {
    const { directory, kubeconfigPath, profile } = this.#settings;
    return operatorProgram({
      ...{ directory, kubeconfigPath, logFile: this.#logFile },
      ...(profile !== undefined && { nodeFlags: ['--cpu-prof', `--cpu-prof-dir=${profile}`] }),
    });
  }

  get #logFile(): string {
    return join(this.#settings.directory, `operator-${this.#starts}.log`);
  }

  #log(): Promise<string> {
    return readFile(this.#logFile, 'utf8').catch(() => '');
  }
}

function portIn(log: string, name: string): number {
  const line = log.split('\n').find((each) => each.includes('"msg":"listening"')) ?? '';
  const port = new RegExp(`"${name}":(\\d+)`).exec(line)?.[1];
  if (port === undefined) throw new Error(`the operator did not say its port for ${name}`);
  return Number(port);
}
