// The WebSocket server that agents connect to, over TLS 1.3 on /v1/agents (design §7). A peer without an agent's token
// gets a plain HTTP answer and occupies no memory.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { WebSocket, WebSocketServer } from 'ws';
import { Channel, webSocketMaxPayload } from '../../protocol/channel.ts';
import { type MessageOfAgents, type MessageToAgents, messageOfAgents } from '../../protocol/earlier-agents.ts';
import { agentsPath, closeCodes, subprotocol } from '../../protocol/messages.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { ArrivalBounds } from '../../runtime/connections/arrivals.ts';
import { GuardedServer, type ServingCertificate } from '../../runtime/connections/guarded-server.ts';
import { peerAddress } from '../../runtime/connections/peer-address.ts';
import { type AdmissionBounds, AdmissionLine, type Turn } from './admission-line.ts';
import type { AgentAuthenticator } from './authentication.ts';
import { type MessageLimit, Peer, Peers } from './peer.ts';
import { RefusalLog } from './refusal-log.ts';
import { AgentSession } from './session.ts';
import type { AgentIdentity, SessionEvents, SessionPorts } from './session-ports.ts';
import type { Sessions } from './sessions.ts';
import { WaitingConnection } from './waiting-connection.ts';

/** What the leading replica offers to agents. */
export interface AgentService {
  readonly ports: SessionPorts;
  readonly sessions: Sessions;
}

export interface AgentServerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Undefined while this replica does not lead. Agents are then asked to come again, and reach another replica. */
  readonly service: () => AgentService | undefined;
  readonly authenticator: AgentAuthenticator;
  /** False for loopback only. With TLS, handshakes fail until the first `useCertificate`. */
  readonly tls: boolean;
  readonly bindAddress: string;
  readonly port: number;
  /** How much one agent may send before it is delayed. */
  readonly messages?: MessageLimit;
  readonly arrivals?: Partial<ArrivalBounds>;
  readonly admission?: AdmissionBounds;
}

const dismissMilliseconds = 1_000;
const bounds = {
  /** Connections of agents that have presented a token: 5,000 agents, each during a renewal, plus half-open ones. */
  sessions: 12_000,
  /** Connections of one node: the session, its renewal, and what a network left half open. */
  connectionsPerNode: 4,
  headerBytes: 16 * 1024,
  /** Most pieces into which the network may split one message. */
  bufferedChunks: 8_192,
  /** Most fragments into which an agent may split one message; our agent sends one. */
  fragments: 64,
  /** For agents that come while this replica cannot accept them. */
  retryAfterSeconds: 1,
} as const;

export class AgentServer {
  readonly #options: AgentServerOptions;
  readonly #server: GuardedServer;
  readonly #refusals: RefusalLog;
  readonly #line: AdmissionLine;
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: webSocketMaxPayload,
    maxBufferedChunks: bounds.bufferedChunks,
    maxFragments: bounds.fragments,
    autoPong: false,
    perMessageDeflate: false,
    handleProtocols: () => subprotocol,
  });
  /** Number of connections by node. */
  readonly #open = new Map<string, number>();
  readonly #peers: Peers;
  #closing = false;

  constructor(options: AgentServerOptions) {
    const { clock, logger } = options;
    this.#options = options;
    this.#peers = new Peers(() => new Peer(clock, options.messages));
    this.#refusals = new RefusalLog(clock, logger);
    this.#line = new AdmissionLine(clock, options.admission);
    this.#server = new GuardedServer({ ...options, headerBytes: bounds.headerBytes, answer: refuseRequest });
    this.#server.http.on('upgrade', (request, socket, head) => {
      socket.on('error', () => socket.destroy());
      this.#upgrade(request, socket, head).catch((error: unknown) => {
        logger.error({ err: error }, 'an agent could not be accepted');
        refuse(socket, 500);
      });
    });
  }

  listen(): Promise<AddressInfo> {
    return this.#server.listen();
  }

  /** Agents reconnect at once; their VMs do not notice. */
  async close(): Promise<void> {
    this.#closing = true;
    const closed = this.#server.close();
    this.dismiss('the operator shuts down');
    await Promise.race([closed, this.#grace()]);
    for (const socket of this.#webSockets.clients) socket.terminate();
    this.#server.disconnect();
  }

  /** Applies to new handshakes; open connections continue. */
  useCertificate(certificate: ServingCertificate): void {
    this.#server.useCertificate(certificate);
  }

  /** Asks every agent to connect again. */
  dismiss(why: string): void {
    for (const socket of this.#webSockets.clients) {
      socket.close(closeCodes.shuttingDown, why);
      this.#options.clock.after(dismissMilliseconds, () => socket.terminate());
    }
  }

  #grace(): Promise<void> {
    return new Promise((resolve) => this.#options.clock.after(dismissMilliseconds, resolve));
  }

  async #upgrade(request: http.IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { authenticator, service } = this.#options;
    const problem = problemOf(request);
    if (problem !== undefined) return refuse(socket, problem);
    if (this.#closing || service() === undefined) return refuse(socket, 503);
    const bearer = /^Bearer (\S{1,8192})$/.exec(request.headers.authorization ?? '')?.[1];
    if (bearer === undefined) return refuse(socket, 401);
    const address = peerAddress(request.socket);
    const authentication = await authenticator.authenticate(bearer, address);
    if (!authentication.ok) {
      this.#refusals.refused({ peer: address, error: authentication.message });
      return refuse(socket, authentication.retry ? 503 : 401);
    }
    const { nodeName } = authentication;
    const current = service();
    if (current === undefined) return refuse(socket, 503);
    if (this.#closing || this.#webSockets.clients.size >= bounds.sessions) return refuse(socket, 503);
    const peer = this.#admit(nodeName);
    if (peer === undefined) {
      current.ports.observer.misbehaved('too_many_connections');
      return refuse(socket, 429);
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#server.admit(request);
      this.#count(nodeName, webSocket);
      void this.#queue(webSocket, authentication, peer, current);
    });
  }

  #admit(nodeName: string): Peer | undefined {
    const open = this.#open.get(nodeName) ?? 0;
    const peer = this.#peers.of(nodeName);
    return open < bounds.connectionsPerNode && peer.mayConnect() ? peer : undefined;
  }

  /** Reads the agent's messages once its turn has come. */
  async #queue(webSocket: WebSocket, agent: AgentIdentity, peer: Peer, service: AgentService): Promise<void> {
    const { clock, heartbeatSeconds } = service.ports;
    const waiting = new WaitingConnection(webSocket, clock, heartbeatSeconds);
    const closed = new Promise((resolve) => webSocket.once('close', resolve));
    const turn = await this.#line.enter(agent.nodeName, closed);
    if (turn === undefined) return webSocket.terminate();
    // A connection that was dismissed while it waited has been told so.
    if (webSocket.readyState === WebSocket.OPEN) {
      const session = new AgentSession(agent, peer, service.ports, endingTurn(turn, service.sessions));
      const served = this.#serve(webSocket, session, peer, service);
      waiting.handOver();
      await served;
    }
    turn.end();
  }

  async #serve(
    webSocket: WebSocket,
    session: AgentSession,
    peer: Peer,
    { ports, sessions }: AgentService,
  ): Promise<void> {
    const { nodeName } = session;
    sessions.began(session);
    const channel = new Channel<MessageOfAgents, MessageToAgents>(webSocket, {
      schema: messageOfAgents,
      clock: ports.clock,
      heartbeat: 'pinger',
      heartbeatSeconds: ports.heartbeatSeconds,
      answersPings: true,
      onFrame: (kind, bytes) => peer.received(kind, bytes),
      onThrottled: () => session.misbehaved('too_many_messages'),
      onMalformed: () => session.malformed(),
      onMessage: (message) => session.receive(message),
      onBinary: (frame) => session.receiveBinary(frame),
    });
    ports.logger.info({ host: nodeName }, 'an agent connected');
    const closed = await session.run(channel);
    ports.logger.info({ host: nodeName, code: closed.code, reason: closed.reason }, 'an agent disconnected');
    sessions.ended(session);
  }

  #count(nodeName: string, webSocket: WebSocket): void {
    this.#open.set(nodeName, (this.#open.get(nodeName) ?? 0) + 1);
    webSocket.once('close', () => {
      const open = (this.#open.get(nodeName) ?? 0) - 1;
      if (open <= 0) this.#open.delete(nodeName);
      else this.#open.set(nodeName, open);
    });
  }
}

/** The next session begins as soon as this one is live. */
function endingTurn(turn: Turn, events: SessionEvents): SessionEvents {
  return {
    accepted: (session) => events.accepted(session),
    live: (session) => {
      turn.end();
      events.live(session);
    },
  };
}

function refuseRequest(_request: http.IncomingMessage, response: http.ServerResponse): void {
  response.writeHead(426, { connection: 'close' }).end();
}

function problemOf(request: http.IncomingMessage): number | undefined {
  if (request.url?.split('?')[0] !== agentsPath) return 404;
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((each) => each.trim());
  return offered.includes(subprotocol) ? undefined : 400;
}

function refuse(socket: Duplex, code: number): void {
  const retry = code === 503 ? `Retry-After: ${bounds.retryAfterSeconds}\r\n` : '';
  const head = `HTTP/1.1 ${code} ${http.STATUS_CODES[code] ?? ''}\r\n${retry}`;
  socket.end(`${head}Connection: close\r\nContent-Length: 0\r\n\r\n`);
}
