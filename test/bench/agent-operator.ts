// An operator of one agent, without a cluster: assigns VMs and hears of them.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { agentMessage, type OperatorMessage, subprotocol } from '../../protocol/messages.ts';
import { makeAssignment } from '../agent/assignments.ts';

/** Hears of every VM as soon as the agent says something of it. */
export class BenchOperator implements AsyncDisposable {
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
