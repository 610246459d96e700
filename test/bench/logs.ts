// The path of a log that somebody follows: a simulated guest writes as fast as it is read, and its lines go through the agent,
// its file, the operator and the API server to a client, each a process of its own. Meanwhile processes are started in the
// guest: each needs control messages both ways over the same connection.
import { readFile } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { Api } from '../../kubectl/api.ts';
import { loadCluster } from '../../kubectl/cluster.ts';
import { parsePosition, subresourcePath } from '../../protocol/subresources.ts';
import { isRunning, RunningSystem } from '../e2e/running-system.ts';
import { threeHosts } from '../playground/system.ts';

const seconds = 20;
/** What comes before is for compilers and buffers. */
const warmUpSeconds = 5;
const nodeName = 'win-2022-a';
const name = 'flood';
export const promisedMegabytesPerSecond = 50;
export const promisedDelayMilliseconds = 250;

export interface LogFigures {
  readonly megabytesPerSecond: number;
  readonly linesPerSecond: number;
  /** Lines whose positions were skipped: the files had them no more. */
  readonly missing: number;
  readonly doubled: number;
  /** From the request for a process to the first word of it, in milliseconds. */
  readonly delays: readonly number[];
  /** Resident MiB of agent and operator: after the warm-up, and the most until the end. */
  readonly agent: readonly [number, number];
  readonly operator: readonly [number, number];
  /** Seconds of processor time for each MB that was followed: what does not depend on who else uses the machine. */
  readonly processorSecondsPerMegabyte: { readonly agent: number; readonly operator: number };
}

const line = `{"level":"info","msg":"${'a line of a guest that has much to say '.repeat(5)}","time":"2024-01-15T10:30:00.5Z"}\n`;
const block = line.repeat(Math.ceil((256 * 1024) / line.length));

export async function benchLogs(): Promise<LogFigures> {
  await using running = await RunningSystem.start(new Map([...threeHosts].filter(([host]) => host === nodeName)));
  await running.system.installApiService();
  await running.apply(name, { nodeName, memory: { sizeInMB: 256 } });
  const machine = await running.untilMachine(name, 'runs', isRunning);
  const api = new Api(loadCluster({ kubeconfig: running.controlPlane.kubeconfigPath }));
  await running.until('the aggregated API is served', async () =>
    api.text({ path: subresourcePath('default', name, 'document') }).then(
      () => true,
      () => false,
    ),
  );
  const stop = new AbortController();
  const control = await running.control(nodeName);
  const flooding = flood((text) => control.writeLog(`luvm-${machine.metadata.uid}`, text), stop.signal);
  const follower = new Follower();
  const following = follower.follow(api, stop.signal);
  await pause(warmUpSeconds);
  follower.begin();
  const memory = new MemoryOf([running.system.node(nodeName).agent.pid, running.system.operator.pid]);
  await memory.look();
  const pids = [running.system.node(nodeName).agent.pid, running.system.operator.pid] as const;
  const before = await Promise.all(pids.map(processorSeconds));
  const delays: number[] = [];
  const begun = performance.now();
  while (performance.now() - begun < seconds * 1000) {
    delays.push(await startProcess(api));
    await memory.look();
    await pause(0.25);
  }
  const { bytes, doubled, lines, missing } = follower;
  const after = await Promise.all(pids.map(processorSeconds));
  const [ofAgent = 0, ofOperator = 0] = after.map((each, index) => (each - (before[index] ?? 0)) / (bytes / 1e6));
  const elapsed = (performance.now() - begun) / 1000;
  stop.abort();
  await Promise.all([flooding, following]);
  await control.close();
  const [agent = [0, 0], operator = [0, 0]] = memory.ranges;
  return {
    megabytesPerSecond: bytes / elapsed / 1e6,
    linesPerSecond: lines / elapsed,
    missing,
    doubled,
    delays: delays.sort((one, other) => one - other),
    agent,
    operator,
    processorSecondsPerMegabyte: { agent: ofAgent, operator: ofOperator },
  };
}

/** Since the process began; a tick is 10 ms. */
async function processorSeconds(pid: number | undefined): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function flood(write: (text: string) => Promise<void>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await write(block);
}

/** Counts what arrives, and holds the positions against each other. */
class Follower {
  bytes = 0;
  lines = 0;
  missing = 0;
  doubled = 0;
  #last = -1;

  begin(): void {
    Object.assign(this, { bytes: 0, lines: 0, missing: 0, doubled: 0 });
  }

  async follow(api: Api, signal: AbortSignal): Promise<void> {
    const query = new URLSearchParams({ follow: 'true', tailLines: '0', positions: 'true' });
    const response = await api.open({ path: subresourcePath('default', name, 'log'), query, signal });
    let rest = '';
    try {
      for await (const chunk of response) {
        this.bytes += chunk.length;
        const lines = (rest + chunk.toString('latin1')).split('\n');
        rest = lines.pop() ?? '';
        for (const each of lines) this.#count(each);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  #count(text: string): void {
    const position = parsePosition(text.slice(0, text.indexOf(' ')));
    if (position === undefined) return;
    this.lines += 1;
    if (position.sequence <= this.#last) this.doubled += 1;
    else if (this.#last >= 0) this.missing += position.sequence - this.#last - 1;
    this.#last = position.sequence;
  }
}

async function startProcess(api: Api): Promise<number> {
  const begun = performance.now();
  const query = new URLSearchParams({ command: 'true' });
  const socket = await api.connect({ path: subresourcePath('default', name, 'exec'), query });
  const first = new Promise<void>((resolve) => socket.once('message', () => resolve()));
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.resume();
  await first;
  const delay = performance.now() - begun;
  await closed;
  return delay;
}

class MemoryOf {
  readonly #pids: readonly (number | undefined)[];
  readonly #ranges: [number, number][] = [];

  constructor(pids: readonly (number | undefined)[]) {
    this.#pids = pids;
  }

  /** For each process: at first, and the most. */
  get ranges(): readonly (readonly [number, number])[] {
    return this.#ranges;
  }

  async look(): Promise<void> {
    for (const [index, pid] of this.#pids.entries()) {
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      const mebibytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
      const [first = mebibytes, most = 0] = this.#ranges[index] ?? [];
      this.#ranges[index] = [first, Math.max(most, mebibytes)];
    }
  }
}

function pause(inSeconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, inSeconds * 1000));
}
