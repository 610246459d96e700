// The agents of the fleet, as the bench directs them: in a few processes of their own.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { compileCache } from '../../../support/cache-folder.ts';
import { type Lives, type News, news, type Order } from './messages.ts';

const program = fileURLToPath(new URL('./main.ts', import.meta.url));
const agentsPerProcess = 1_250;
const pollMilliseconds = 50;

export interface Target {
  readonly port: number;
  readonly authority: string;
  /** See `Order`. */
  readonly bare?: boolean;
}

export class Agents implements AsyncDisposable {
  readonly #bootMilliseconds: number;
  readonly #processes: AgentsProcess[] = [];
  #count = 0;

  constructor(bootMilliseconds: number) {
    this.#bootMilliseconds = bootMilliseconds;
  }

  /** Those that have joined. */
  get count(): number {
    return this.#count;
  }

  get live(): number {
    return this.#processes.reduce((sum, { live }) => sum + live, 0);
  }

  /** Adds agents until there are `count`. They connect all at once. */
  async join(count: number, { port, authority, bare = false }: Target): Promise<void> {
    const added = Array.from({ length: count - this.#count }, (_, index) => this.#count + index);
    this.#count = Math.max(count, this.#count);
    const processes = Math.ceil(added.length / agentsPerProcess);
    for (let index = 0; index < processes; index += 1) {
      const part = added.filter((each) => each % processes === index);
      const started = await AgentsProcess.start();
      this.#processes.push(started);
      const agents = part.map((each) => ({ token: tokenOf(each), address: addressOf(each) }));
      started.send({ do: 'join', port, authority, bare, agents, bootMilliseconds: this.#bootMilliseconds });
    }
  }

  /** Resolves once all agents are live. `look` is called again and again until then. */
  async untilLive(patienceMilliseconds: number, look: () => void = () => undefined): Promise<void> {
    const deadline = performance.now() + patienceMilliseconds;
    for (;;) {
      look();
      if (this.live === this.#count) return;
      if (performance.now() > deadline)
        throw new Error(`${this.live} of ${this.#count} agents have a session after ${patienceMilliseconds / 1000} s`);
      await sleep(pollMilliseconds);
    }
  }

  drop(): void {
    for (const each of this.#processes) {
      // The next count may still be from before.
      each.live = 0;
      each.send({ do: 'drop' });
    }
  }

  move(port: number): void {
    for (const each of this.#processes) each.send({ do: 'move', port });
  }

  /** What happened to VMs since the last call. */
  async lives(): Promise<Lives> {
    const all = await Promise.all(this.#processes.map((each) => each.lives()));
    return {
      kind: 'lives',
      boots: all.flatMap(({ boots }) => boots),
      away: all.flatMap(({ away }) => away),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((each) => each.stop()));
  }
}

class AgentsProcess {
  live = 0;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #waiting: ((lives: Lives) => void)[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = once(child, 'exit');
    child.on('message', (message) => this.#hear(news.parse(message)));
  }

  static async start(): Promise<AgentsProcess> {
    const child = fork(program, [], { env: { NODE_COMPILE_CACHE: compileCache, ...process.env } });
    await once(child, 'spawn');
    return new AgentsProcess(child);
  }

  send(message: Order): void {
    this.#child.send(message);
  }

  async lives(): Promise<Lives> {
    const told = new Promise<Lives>((resolve) => this.#waiting.push(resolve));
    this.send({ do: 'tell' });
    return Promise.race([
      told,
      this.#ended.then(() => {
        throw new Error('a process with agents has ended');
      }),
    ]);
  }

  async stop(): Promise<void> {
    if (this.#child.connected) this.send({ do: 'leave' });
    await this.#ended;
  }

  #hear(message: News): void {
    if (message.kind === 'count') this.live = message.live;
    else this.#waiting.shift()?.(message);
  }
}

export function nodeOf(agent: number): string {
  return `win-${agent}`;
}

export function tokenOf(agent: number): string {
  return `token-of-node-win-${agent}`;
}

/** 127.1.0.1 and so on. */
function addressOf(agent: number): string {
  return `127.${1 + (agent >> 15)}.${(agent >> 7) & 255}.${1 + (agent & 127)}`;
}
