// The operator's end of the wire for tests of the agent: a real WebSocket server that sends what the test tells it to.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import {
  type AgentMessage,
  agentMessage,
  agentsPath,
  type Hello,
  type OperatorMessage,
  subprotocol,
} from '../../../protocol/messages.ts';
import { until } from '../until.ts';

export interface Session {
  readonly authorization: string | undefined;
  readonly messages: AgentMessage[];
  send(message: OperatorMessage | string): void;
  close(code: number): void;
  /** Cuts the connection without a close frame. */
  cut(): void;
  ping(): void;
  readonly open: boolean;
  /** All VMs of the complete hello. */
  hello(): Promise<Hello>;
  next<T extends AgentMessage['type']>(
    type: T,
    holds?: (message: Extract<AgentMessage, { type: T }>) => boolean,
  ): Promise<Extract<AgentMessage, { type: T }>>;
}

export class ScriptedOperator implements AsyncDisposable {
  readonly sessions: Session[] = [];
  readonly #server = createServer();
  readonly #sockets = new WebSocketServer({ server: this.#server, handleProtocols: () => subprotocol });

  static async start(): Promise<ScriptedOperator> {
    const operator = new ScriptedOperator();
    await new Promise<void>((resolve) => operator.#server.listen(0, '127.0.0.1', resolve));
    return operator;
  }

  private constructor() {
    this.#sockets.on('connection', (socket, request) => {
      this.sessions.push(sessionOver(socket, request.headers.authorization));
    });
  }

  get port(): number {
    return portOf(this.#server.address());
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}${agentsPath}`;
  }

  /** The n-th session, counted from 0, once it exists. */
  session(index: number): Promise<Session> {
    return until(`session ${index}`, () => this.sessions[index]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function sessionOver(socket: WebSocket, authorization: string | undefined): Session {
  const messages: AgentMessage[] = [];
  socket.on('message', (data) => messages.push(agentMessage.parse(JSON.parse(String(data)))));
  const next: Session['next'] = (type, holds = () => true) =>
    until(`message ${type}`, () =>
      messages.find(
        (message): message is Extract<AgentMessage, { type: typeof type }> =>
          message.type === type && holds(message as never),
      ),
    );
  return {
    authorization,
    messages,
    send: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    close: (code) => socket.close(code),
    cut: () => socket.terminate(),
    ping: () => socket.ping(),
    get open() {
      return socket.readyState === WebSocket.OPEN;
    },
    next,
    hello: () => next('hello', ({ last }) => last),
  };
}

function portOf(address: AddressInfo | string | null): number {
  if (typeof address === 'object' && address !== null) return address.port;
  throw new Error('the server does not listen');
}
