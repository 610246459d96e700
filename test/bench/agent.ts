// The agent against doubles of the libraries of Windows, which take no time: from an assignment on the wire until the
// operator hears that the VM runs; memory with 100 VMs; and what is left of the thread pool while 100 calls hang.
import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import { sealedBoot } from '../../agent/hcs/simulated/boot-command.ts';
import { SimulatedGuest } from '../../agent/hcs/simulated/guest.ts';
import { simulatedHostFile } from '../../agent/hcs/simulated/host-file.ts';
import { Script } from '../../agent/hcs/simulated/script.ts';
import { hyperVAddress, vsockServiceId } from '../../agent/windows/hvsock-address.ts';
import { compile } from '../../images/compile.ts';
import { systemClock } from '../../protocol/clock.ts';
import { agentMessage, type OperatorMessage, subprotocol } from '../../protocol/messages.ts';
import { makeAssignment } from '../agent/assignments.ts';
import { buildDouble } from '../doubles/build.ts';

export interface AgentFigures {
  /** Milliseconds from an assignment to Running, of VMs one after another. */
  readonly single: { readonly median: number; readonly worst: number };
  /** Milliseconds until the last of so many VMs ran that were assigned at once. */
  readonly together: { readonly machines: number; readonly milliseconds: number };
  readonly residentMebibytes: number;
  /** The longest that a file or a name took while 100 calls were blocked, in milliseconds. */
  readonly blocked: { readonly seconds: number; readonly read: number; readonly lookUp: number };
}

export const agentPromises = { single: 30, together: 1500, resident: 140, blocked: 50 } as const;

const project = fileURLToPath(new URL('../../', import.meta.url));
/** With which the chart starts it. */
const chartOptions = ['--max-semi-space-size=8'];
const machines = 100;
const singles = 20;
const blockedMilliseconds = 10_000;
const { timing } = simulatedHostFile.parse({
  build: 20348,
  logicalProcessors: 1,
  timing: { bootMilliseconds: 0, initMilliseconds: 0, logIntervalMilliseconds: 1000, redialMilliseconds: 1 },
});

export async function benchAgent(): Promise<AgentFigures> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-agent-'));
  await using operator = await BenchOperator.listen();
  const doubles = await Promise.all([buildDouble('computecore'), buildDouble('winsock')]);
  const agent = fork(await compiledAgent(folder), [operator.url, folder, ...doubles], { execArgv: chartOptions });
  const progress = new Map<string, Progress>();
  try {
    agent.on('message', (message) => follow(agentEvent.parse(message), progress));
    await operator.connected;
    for (let index = 0; index < singles; index += 1) await operator.run(1);
    const times = [...progress.values()].map(({ begun, running }) => running - begun).slice(singles / 4);
    await operator.run(machines - singles);
    await sleep(10_000);
    const residentMebibytes = await resident(agent.pid);
    await operator.releaseAll();
    progress.clear();
    const begun = performance.timeOrigin + performance.now();
    await operator.run(machines);
    // What the agent says to its parent can come later than what it says on the wire.
    while ([...progress.values()].some(({ running }) => Number.isNaN(running))) await sleep(5);
    const last = Math.max(...[...progress.values()].map(({ running }) => running));
    const blocked = await blockedFigures();
    const sorted = times.sort((a, b) => a - b);
    return {
      single: { median: sorted[sorted.length >> 1] ?? Number.NaN, worst: sorted.at(-1) ?? Number.NaN },
      together: { machines, milliseconds: last - begun },
      residentMebibytes,
      blocked,
    };
  } finally {
    if (agent.connected) agent.disconnect();
    if (agent.exitCode === null) await once(agent, 'exit');
    await rm(folder, { recursive: true, force: true });
  }
}

/** JavaScript, as in the image: what turns TypeScript into it takes memory of its own. */
async function compiledAgent(folder: string): Promise<string> {
  const output = join(folder, 'program');
  await compile(project, ['test/bench/agent-on-doubles.ts', 'agent/windows/hvsock/pump-main.ts'], output);
  await writeFile(join(output, 'package.json'), '{"type":"module"}');
  await symlink(join(project, 'node_modules'), join(output, 'node_modules'));
  return join(output, 'test/bench/agent-on-doubles.js');
}

/** When the agent had the VM's assignment, and when it ran: milliseconds since the epoch. */
interface Progress {
  begun: number;
  running: number;
}

const agentEvent = z.union([
  z.object({ system: z.string(), runtimeId: z.string() }),
  z.object({ uid: z.string(), begun: z.number() }),
  z.object({ uid: z.string(), running: z.number() }),
]);

function follow(event: z.infer<typeof agentEvent>, progress: Map<string, Progress>): void {
  if ('runtimeId' in event) {
    playGuest(event.system, event.runtimeId);
    return;
  }
  const known = progress.get(event.uid) ?? { begun: Number.NaN, running: Number.NaN };
  progress.set(event.uid, 'begun' in event ? { ...known, begun: event.begun } : { ...known, running: event.running });
}

function playGuest(systemId: string, runtimeId: string): void {
  new SimulatedGuest({
    systemId,
    boot: sealedBoot,
    dial: (port) => dial(runtimeId, port),
    clock: systemClock,
    timing,
    script: new Script(systemClock, []),
    isDiskAttached: () => false,
    onEnd: () => undefined,
  }).start();
}

function dial(runtimeId: string, port: number): ReturnType<ConstructorParameters<typeof SimulatedGuest>[0]['dial']> {
  const address = Buffer.from(hyperVAddress(runtimeId, vsockServiceId(port)).subarray(4)).toString('hex');
  const socket = connect({ path: `\0hvsock-${address}`, allowHalfOpen: true });
  return new Promise((resolve) => {
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      // Its users see its end by `close`.
      socket.on('error', () => {});
      resolve(socket);
    });
    socket.once('error', () => resolve('refused'));
  });
}

/** Hears of every VM as soon as the agent says something of it. */
class BenchOperator implements AsyncDisposable {
  readonly running = new Set<string>();
  readonly connected: Promise<void>;
  readonly #server = createServer();
  readonly #sockets = new WebSocketServer({ server: this.#server, handleProtocols: () => subprotocol });
  readonly #connected = Promise.withResolvers<void>();
  #socket: WebSocket | undefined;
  #onChange: () => void = () => undefined;

  private constructor() {
    this.connected = this.#connected.promise;
    this.#sockets.on('connection', (socket) => {
      this.#socket = socket;
      socket.on('message', (data) => this.#received(String(data)));
    });
  }

  static async listen(): Promise<BenchOperator> {
    const operator = new BenchOperator();
    await new Promise<void>((resolve) => operator.#server.listen(0, '127.0.0.1', () => resolve()));
    return operator;
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1/agents`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  send(message: OperatorMessage): void {
    this.#socket?.send(JSON.stringify(message));
  }

  /** Assigns so many new VMs at once, and resolves when they run. */
  async run(count: number): Promise<void> {
    const uids = Array.from({ length: count }, () => crypto.randomUUID());
    for (const uid of uids) {
      this.send({ type: 'assign', epoch: 1, virtualMachine: { ...makeAssignment({ uid, name: `vm-${uid}` }) } });
    }
    await this.#until(() => uids.every((uid) => this.running.has(uid)));
  }

  async releaseAll(): Promise<void> {
    for (const uid of this.running) this.send({ type: 'release', epoch: 1, uid });
    await this.#until(() => this.running.size === 0);
  }

  async #until(holds: () => boolean): Promise<void> {
    const limit = AbortSignal.timeout(60_000);
    while (!holds()) {
      await new Promise<void>((resolve, reject) => {
        this.#onChange = resolve;
        limit.addEventListener('abort', () => reject(new Error(`only ${this.running.size} VMs run`)), { once: true });
      });
    }
  }

  #received(text: string): void {
    const message = agentMessage.parse(JSON.parse(text));
    if (message.type === 'hello' && message.last) {
      this.send({ type: 'welcome', replica: 'bench', epoch: 1, heartbeatSeconds: 60, logWindow: 1000 });
      this.send({ type: 'desired', epoch: 1, virtualMachines: [], last: true });
      this.#connected.resolve();
    }
    if (message.type === 'observed' && message.virtualMachine['phase'] === 'Running') {
      this.running.add(message.virtualMachine.uid);
    }
    if (message.type === 'removed') this.running.delete(message.uid);
    if (message.type === 'logs') {
      const sequence = message.first + message.lines.length - 1;
      this.send({ type: 'logsAck', uid: message.uid, boot: message.boot, sequence });
    }
    this.#onChange();
  }
}

async function resident(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

const blockedResult = z.object({ took: z.array(z.object({ read: z.number(), lookUp: z.number() })) });

async function blockedFigures(): Promise<AgentFigures['blocked']> {
  const program = fileURLToPath(new URL('../agent/hcs/blocked-calls.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program, String(blockedMilliseconds)]);
  const { took } = blockedResult.parse(JSON.parse(stdout));
  return {
    seconds: blockedMilliseconds / 1000,
    read: Math.max(...took.map(({ read }) => read)),
    lookUp: Math.max(...took.map(({ lookUp }) => lookUp)),
  };
}
