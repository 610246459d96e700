// Measures a log that a user follows. A simulated guest writes slightly faster than the promised rate, and its lines
// pass through the agent, its file, the operator and the API server to a client, each a separate process. Meanwhile
// processes are started in the guest, and the document of a quiet VM on the same host is requested. Both need control
// messages in both directions over the connection that the log floods.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { Api } from '../../kubectl/api.ts';
import { loadCluster } from '../../kubectl/cluster.ts';
import { subresourcePath } from '../../protocol/subresources.ts';
import { threeHosts } from '../../simulator/playground/system.ts';
import { isRunning, RunningSystem } from '../support/system/running-system.ts';
import { type Followed, followed } from './log-follower.ts';
import { type ProcessUse, processesBelow, useOf } from './process-use.ts';

const seconds = 20;
/** Excluded from the figures: compilers and buffers warm up. */
const warmUpMilliseconds = 8_000;
const nodeName = 'win-2022-a';
const name = 'flood';
const quietName = 'quiet';
export const promisedMegabytesPerSecond = 50;
export const promisedDelayMilliseconds = 250;
/** The rate at which the guest writes. It is slightly higher, because each line gets shorter on its way. */
const writtenMegabytesPerSecond = 1.1 * promisedMegabytesPerSecond;

export interface LogFigures {
  readonly megabytesPerSecond: number;
  readonly linesPerSecond: number;
  /** Lines whose positions were skipped, because the files no longer had them. */
  readonly missing: number;
  readonly doubled: number;
  /** From when a control message to the agent was due until its answer arrived, in milliseconds. */
  readonly control: readonly number[];
  /** From the request for a process to its first output, in milliseconds. */
  readonly processes: readonly number[];
  /** From the request for the document of another VM to its complete answer, in milliseconds. */
  readonly documents: readonly number[];
  readonly programs: readonly ProgramFigures[];
}

export interface ProgramFigures {
  readonly program: string;
  /** Resident MiB at the beginning, in the middle and at the end, after the warm-up, and the maximum. */
  readonly resident: readonly number[];
  /** For each MB of the followed log. This figure does not depend on other load on the machine. */
  readonly processorMillisecondsPerMegabyte: number;
}

const line = `{"level":"info","msg":"${'a line of a guest that has much to say '.repeat(5)}","time":"2024-01-15T10:30:00.5Z"}\n`;
const block = line.repeat(Math.ceil((256 * 1024) / line.length));

export async function benchLogs(): Promise<LogFigures> {
  const hosts = new Map([...threeHosts].filter(([host]) => host === nodeName));
  const operatorPreloaded = [fileURLToPath(new URL('./control-probe.ts', import.meta.url))];
  await using running = await RunningSystem.start(hosts, async () => ({ operatorPreloaded }));
  await running.system.installApiService();
  await running.apply(name, { nodeName, memory: { sizeInMB: 256 } });
  await running.apply(quietName, { nodeName, memory: { sizeInMB: 256 } });
  const machine = await running.untilMachine(name, 'runs', isRunning);
  await running.untilMachine(quietName, 'runs', isRunning);
  const api = new Api(loadCluster({ kubeconfig: running.controlPlane.kubeconfigPath }));
  const document = () => api.text({ path: subresourcePath('default', quietName, 'document') });
  await running.until('the aggregated API is served', async () =>
    document().then(
      () => true,
      () => false,
    ),
  );
  const stop = new AbortController();
  const host = await running.control(nodeName);
  const flooding = flood((times) => host.writeLog(`luvm-${machine.metadata.uid}`, block, times), stop.signal);
  const program = fileURLToPath(new URL('./log-client.ts', import.meta.url));
  const client = fork(program, [running.controlPlane.kubeconfigPath, name], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  await pause(warmUpMilliseconds);
  await counted(client);
  const watch = await Watch.begin();
  const processes: number[] = [];
  const documents: number[] = [];
  const begun = performance.now();
  while (performance.now() - begun < seconds * 1000) {
    processes.push(await startProcess(api));
    documents.push(await timed(document));
    await watch.look();
    await pause(250);
  }
  const { bytes, doubled, lines, missing } = await counted(client);
  const elapsed = (performance.now() - begun) / 1000;
  const programs = await watch.end(bytes / 1e6);
  const control = await controlDelays(running.system.operator.program.logFile, performance.timeOrigin + begun);
  stop.abort();
  client.disconnect();
  await Promise.all([flooding, once(client, 'exit')]);
  await host.close();
  return {
    megabytesPerSecond: bytes / elapsed / 1e6,
    linesPerSecond: lines / elapsed,
    missing,
    doubled,
    control: control.sort((one, other) => one - other),
    processes: processes.sort((one, other) => one - other),
    documents: documents.sort((one, other) => one - other),
    programs,
  };
}

/** Writes at the given rate, as far as the data is read. */
async function flood(write: (times: number) => Promise<void>, signal: AbortSignal): Promise<void> {
  let last = performance.now();
  let owed = 0;
  while (!signal.aborted) {
    const now = performance.now();
    // Output that could not be written in time is not written later.
    owed += Math.min(now - last, 200) * writtenMegabytesPerSecond * 1000;
    last = now;
    const times = Math.floor(owed / block.length);
    owed -= times * block.length;
    if (times > 0) await write(times);
    await pause(20);
  }
}

/** The counts since the last request. */
async function counted(client: ChildProcess): Promise<Followed> {
  if (!client.connected) throw new Error('the log broke off');
  const answer = once(client, 'message');
  client.send('counts');
  return followed.parse((await answer)[0]);
}

const controlDelay = z.object({ controlMilliseconds: z.number(), at: z.number(), answered: z.literal(true) });

/** The delays that the operator printed (`control-probe.ts`) from a given time on. */
async function controlDelays(file: string, from: number): Promise<number[]> {
  const lines = (await readFile(file, 'utf8')).split('\n').filter((each) => each.includes('"controlMilliseconds"'));
  const delays = lines.map((each) => controlDelay.parse(JSON.parse(each)));
  return delays.flatMap(({ at, controlMilliseconds }) => (at >= from ? [controlMilliseconds] : []));
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

async function timed(run: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await run();
  return performance.now() - begun;
}

/** Measures all programs of the system between two moments. */
class Watch {
  readonly #before: readonly ProcessUse[];
  readonly #resident: Map<number, number[]> = new Map();

  private constructor(before: readonly ProcessUse[]) {
    this.#before = before;
  }

  static async begin(): Promise<Watch> {
    const watch = new Watch(await processesBelow(process.pid));
    await watch.look();
    return watch;
  }

  async look(): Promise<void> {
    for (const { pid } of this.#before) {
      const { residentMebibytes } = await useOf(pid);
      const seen = this.#resident.get(pid) ?? [];
      this.#resident.set(pid, [...seen, residentMebibytes]);
    }
  }

  async end(megabytes: number): Promise<readonly ProgramFigures[]> {
    const figures: ProgramFigures[] = [];
    for (const { pid, processorSeconds, program } of this.#before) {
      const used = (await useOf(pid)).processorSeconds - processorSeconds;
      const seen = this.#resident.get(pid) ?? [];
      const [first = 0, middle = 0, last = 0] = [0, Math.floor(seen.length / 2), seen.length - 1].map((at) => seen[at]);
      const resident = [first, middle, last, Math.max(...seen)];
      figures.push({ program, resident, processorMillisecondsPerMegabyte: (used * 1000) / megabytes });
    }
    return figures;
  }
}
