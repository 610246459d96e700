// An operator for one agent, without a cluster: it assigns VMs and receives their reports.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { agentMessage, type OperatorMessage, subprotocol } from '../../protocol/messages.ts';
import type { RequestedOptions } from '../../protocol/options.ts';
import { streamLimits } from '../../protocol/streams/messages.ts';
import { makeAssignment } from '../support/agent/assignments.ts';

/** Receives each report as soon as the agent sends it. */
export class BenchOperator implements AsyncDisposable {
  readonly running = new Set<string>();
  readonly connected: Promise<void>;
  readonly #server = createServer();
  readonly #sockets = new WebSocketServer({ server: this.#server, handleProtocols: () => subprotocol });
  readonly #connected = Promise.withResolvers<void>();
  #socket: WebSocket | undefined;
  #lastStream = 0;
  readonly #closed = new Map<number, string | undefined>();
  #onChange: (() => void)[] = [];

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

  /** Assigns `count` new VMs at once, and resolves when they run. */
  async run(count: number): Promise<void> {
    const uids = Array.from({ length: count }, () => crypto.randomUUID());
    for (const uid of uids) {
      this.send({ type: 'assign', epoch: 1, virtualMachine: { ...makeAssignment({ uid, name: `vm-${uid}` }) } });
    }
    await this.#until(() => uids.every((uid) => this.running.has(uid)));
  }

  /** Assigns a VM with these options, and resolves when it runs. */
  async runWith(options: RequestedOptions): Promise<string> {
    const uid = crypto.randomUUID();
    this.send({ type: 'assign', epoch: 1, virtualMachine: { ...makeAssignment({ uid, name: `vm-${uid}`, options }) } });
    await this.#until(() => this.running.has(uid));
    return uid;
  }

  /**
   * Starts a process in a guest. Resolves with the reason if there is no process, or with undefined once it has ended.
   */
  async startProcess(uid: string, command: string[]): Promise<string | undefined> {
    this.#lastStream += 1;
    const stream = this.#lastStream;
    const streams = { stdin: false, stdout: true, stderr: false };
    this.send({ type: 'exec', epoch: 1, stream, uid, window: streamLimits.windowBytes, command, ...streams });
    await this.#until(() => this.#closed.has(stream));
    return this.#closed.get(stream);
  }

  async releaseAll(): Promise<void> {
    for (const uid of this.running) this.send({ type: 'release', epoch: 1, uid });
    await this.#until(() => this.running.size === 0);
  }

  async #until(holds: () => boolean): Promise<void> {
    const limit = AbortSignal.timeout(60_000);
    while (!holds()) {
      await new Promise<void>((resolve, reject) => {
        this.#onChange.push(resolve);
        limit.addEventListener('abort', () => reject(new Error(`only ${this.running.size} VMs run`)), { once: true });
      });
    }
  }

  #received(text: string): void {
    const message = agentMessage.parse(JSON.parse(text));
    if (message.type === 'hello' && message.last) {
      this.send({ type: 'welcome', replica: 'bench', epoch: 1, heartbeatSeconds: 60 });
      this.send({ type: 'desired', epoch: 1, virtualMachines: [], last: true });
      this.#connected.resolve();
    }
    if (message.type === 'observed' && message.virtualMachine['phase'] === 'Running') {
      this.running.add(message.virtualMachine.uid);
    }
    if (message.type === 'streamClosed') this.#closed.set(message.stream, message.problem);
    if (message.type === 'removed') this.running.delete(message.uid);
    for (const changed of this.#onChange.splice(0)) changed();
  }
}
