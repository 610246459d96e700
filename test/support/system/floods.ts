// What guests can do to their neighbours with their logs: guests of one agent write the worst input without end, while
// other VMs are started and the agent's probes run. The agent and its simulated node are separate processes, as in a
// release.
import { setTimeout as sleep } from 'node:timers/promises';
import { useOf } from '../../bench/process-use.ts';
import { AgentProcess } from './agent-process.ts';

/** The input that took longest before it was bounded, and similar ones. */
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
/** The limit in `charts/lcow-agent`. */
export const memoryLimitMebibytes = 512;
export const promisedRatio = 2;
export const promisedHealthMilliseconds = 250;

export interface FloodFigures {
  readonly guests: number;
  /** Milliseconds from the assignment until the operator learns that the VM runs. */
  readonly median: number;
  readonly worst: number;
  /** Durations of the probe. */
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
  readonly #agent: AgentProcess;
  #flooding: readonly string[] = [];

  private constructor(agent: AgentProcess) {
    this.#agent = agent;
  }

  static async start(): Promise<FloodedHost> {
    return new FloodedHost(await AgentProcess.start());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#agent[Symbol.asyncDispose]();
  }

  /** From now on this many guests write as fast as they are read. */
  async floodUpTo(guests: number): Promise<void> {
    const { control, operator } = this.#agent;
    const before = new Set(operator.running);
    await operator.run(guests - this.#flooding.length);
    const added = [...operator.running].filter((uid) => !before.has(uid));
    for (const [index, uid] of added.entries()) {
      const unit = worstInputs[(this.#flooding.length + index) % worstInputs.length] ?? '';
      const block = unit.repeat(blockBytes / unit.length);
      // Ends with the host.
      control.writeLog(`luvm-${uid}`, block, 1_000_000).catch(() => undefined);
    }
    this.#flooding = [...this.#flooding, ...added];
    await sleep(5_000);
  }

  async measure(guests: number): Promise<FloodFigures> {
    const probe = new Probe(this.#agent);
    const starts: number[] = [];
    for (let index = 0; index < startsMeasured; index += 1) {
      const begun = performance.now();
      await this.#agent.operator.run(1);
      starts.push(performance.now() - begun);
    }
    const { health, residentMebibytes } = await probe.end();
    starts.sort((one, other) => one - other);
    const median = starts[starts.length >> 1] ?? Number.NaN;
    return { guests, median, worst: starts.at(-1) ?? Number.NaN, health, residentMebibytes };
  }
}

/** Probes like a kubelet, but far more often. */
class Probe {
  readonly #over = new AbortController();
  readonly #ended: Promise<void>;
  #health = 0;
  #resident = 0;

  constructor(agent: AgentProcess) {
    this.#ended = this.#run(agent);
  }

  async end(): Promise<{ readonly health: number; readonly residentMebibytes: number }> {
    this.#over.abort();
    await this.#ended;
    return { health: this.#health, residentMebibytes: this.#resident };
  }

  async #run(agent: AgentProcess): Promise<void> {
    while (!this.#over.signal.aborted) {
      this.#health = Math.max(this.#health, await agent.healthMilliseconds());
      this.#resident = Math.max(this.#resident, (await useOf(agent.pid)).residentMebibytes);
      await sleep(50);
    }
  }
}
