// An OpenTelemetry collector: its own receiver reads the requests, and its log says what it has read.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { collector } from '../../support/charts/judges.ts';

const patienceMilliseconds = 30_000;

const configuration = `
receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:0
exporters:
  debug:
    verbosity: detailed
service:
  telemetry:
    metrics:
      level: none
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [debug]
`;

export class RealCollector implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #lines: string[] = [];
  readonly #ended: Promise<unknown>;
  #hasEnded = false;

  private constructor(program: string, folder: string, file: string) {
    this.#folder = folder;
    this.#child = spawn(program, ['--config', file], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#ended = once(this.#child, 'close').finally(() => {
      this.#hasEnded = true;
    });
    if (this.#child.stderr) createInterface(this.#child.stderr).on('line', (line) => this.#lines.push(line));
  }

  static async start(): Promise<RealCollector> {
    const folder = await mkdtemp(join(tmpdir(), 'collector-'));
    const file = join(folder, 'collector.yaml');
    await writeFile(file, configuration);
    return new RealCollector(await collector.path(), folder, file);
  }

  /** All that the collector has said. */
  get log(): string {
    return this.#lines.join('\n');
  }

  /** Where the receiver listens. */
  async url(): Promise<string> {
    const address = /Starting HTTP server.*"endpoint": "([^"]+)"/;
    await this.until(address);
    return `http://${address.exec(this.log)?.[1]}`;
  }

  async until(pattern: RegExp): Promise<void> {
    const deadline = Date.now() + patienceMilliseconds;
    while (!pattern.test(this.log)) {
      if (this.#hasEnded || Date.now() > deadline)
        throw new Error(`the collector did not say ${pattern}, but\n${this.log}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill();
    await this.#ended;
    await rm(this.#folder, { recursive: true });
  }
}
