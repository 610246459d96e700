// A node whose agent's token was stolen, and a second node whose session shows whether other agents are affected. The
// real agents of both are stopped during the attack.
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { agentsPath, type Hello, subprotocol } from '../../protocol/messages.ts';
import { observedMachine, someHost } from '../support/operator/scripted-agent.ts';
import type { RunningSystem } from '../support/system/running-system.ts';
import { broken, type Finding, held } from './attack.ts';

export { observedMachine };

const attacked = 'win-2025-a';
const neighbour = 'win-2022-a';
const sampleMilliseconds = 200;
const answerMilliseconds = 10_000;

export const inventedUid = (index: number) => `6a3f2c1e-0b7d-4c55-9a51-${String(index).padStart(12, '0')}`;

export function hello(changes: Partial<Hello> = {}): Hello {
  return {
    type: 'hello',
    protocolVersions: [subprotocol],
    agentVersion: 'attack',
    bootID: inventedUid(0),
    capabilities: ['streams.v1'],
    host: someHost,
    virtualMachines: [],
    complete: true,
    last: true,
    ...changes,
  };
}

export class SeizedNode implements AsyncDisposable {
  readonly name = attacked;
  readonly #target: RunningSystem;
  readonly #operator: number | undefined;
  #neighbour: WebSocket | undefined;
  #sampling: NodeJS.Timeout | undefined;
  #heapBytes = 0;
  #residentBytes = 0;

  static async take(target: RunningSystem): Promise<SeizedNode> {
    const node = new SeizedNode(target);
    await Promise.all([attacked, neighbour].map((name) => target.system.node(name).agent.stop()));
    node.#neighbour = await node.#dial(neighbour);
    await node.welcomed(node.#neighbour);
    node.#sampling = setInterval(() => void node.#sample().catch(() => undefined), sampleMilliseconds);
    return node;
  }

  private constructor(target: RunningSystem) {
    this.#target = target;
    this.#operator = target.system.operator.pid;
  }

  /** Opens a connection with the token; undefined when it is refused. */
  async dial(): Promise<WebSocket | undefined> {
    return this.#dial(attacked).catch(() => undefined);
  }

  /** Sends the hello, and waits for the complete desired state. False if the session ends instead of being accepted. */
  async welcomed(socket: WebSocket, introduction: Hello = hello()): Promise<boolean> {
    const answer = new Promise<boolean>((resolve) => {
      socket.once('close', () => resolve(false));
      socket.on('message', (data) => {
        if (String(data).startsWith('{"type":"desired"')) resolve(true);
      });
    });
    socket.send(JSON.stringify(introduction));
    return answer;
  }

  /**
   * Checks whether the operator is running and serving, whether the neighbour still has its session, and the peak
   * figures.
   */
  async verdict(what: string): Promise<Finding> {
    const milliseconds = await this.#answerTime();
    const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
    const figure = `${what}; heap at most ${mebibytes(this.#heapBytes)}, resident ${mebibytes(this.#residentBytes)}`;
    if (this.#target.system.operator.pid !== this.#operator) return broken(`${figure}; the operator ended`);
    if (milliseconds === undefined) return broken(`${figure}; another agent lost its session`);
    return held(`${figure}; another agent is answered after ${Math.round(milliseconds)} ms`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sampling);
    this.#neighbour?.terminate();
    await Promise.all([attacked, neighbour].map((name) => this.#target.system.node(name).agent.start()));
    const { size } = new Set(this.#target.system.nodes);
    // A node that was kept out for a while is accepted again.
    await this.#target.until(
      'all agents are back',
      async () => (await this.#metric('lcow_agent_sessions')) === size,
      400_000,
    );
  }

  async #dial(nodeName: string): Promise<WebSocket> {
    const { agentsPort } = this.#target.system.replicas[0];
    const socket = new WebSocket(`wss://127.0.0.1:${agentsPort}${agentsPath}`, [subprotocol], {
      headers: { authorization: `Bearer token-of-${nodeName}` },
      rejectUnauthorized: false,
      perMessageDeflate: false,
    });
    socket.on('error', () => undefined);
    await once(socket, 'open');
    return socket;
  }

  async #answerTime(): Promise<number | undefined> {
    const socket = this.#neighbour;
    if (socket?.readyState !== WebSocket.OPEN) return undefined;
    const before = performance.now();
    const answered = once(socket, 'pong', { signal: AbortSignal.timeout(answerMilliseconds) });
    socket.ping();
    return answered.then(
      () => performance.now() - before,
      () => undefined,
    );
  }

  async #sample(): Promise<void> {
    const [heap, resident] = [
      await this.#metric('nodejs_heap_size_used_bytes'),
      await this.#metric('process_resident_memory_bytes'),
    ];
    this.#heapBytes = Math.max(this.#heapBytes, heap);
    this.#residentBytes = Math.max(this.#residentBytes, resident);
  }

  async #metric(name: string): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${this.#target.system.healthPort}/metrics`);
    const line = (await answer.text()).split('\n').find((each) => each.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1) ?? 0);
  }
}

/** Sends as fast as the operator reads, until a given amount was sent or the connection ends. */
export async function flood(
  socket: WebSocket,
  frames: Iterable<string | Buffer>,
  milliseconds: number,
): Promise<number> {
  const end = performance.now() + milliseconds;
  let sent = 0;
  for (const frame of frames) {
    if (socket.readyState !== WebSocket.OPEN || performance.now() > end) break;
    socket.send(frame);
    sent += 1;
    while (socket.bufferedAmount > waitingBytes && socket.readyState === WebSocket.OPEN && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  return sent;
}

const waitingBytes = 4 << 20;
