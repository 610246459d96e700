// Where agents connect: a WebSocket server over TLS 1.3 on /v1/agents (design §7). Whoever is not an agent with a token
// gets a plain HTTP answer and no memory.
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { type WebSocket, WebSocketServer } from 'ws';
import { Channel, webSocketMaxPayload } from '../../protocol/channel.ts';
import type { Clock } from '../../protocol/clock.ts';
import {
  type AgentMessage,
  agentMessage,
  agentsPath,
  closeCodes,
  type OperatorMessage,
  subprotocol,
} from '../../protocol/messages.ts';
import type { AgentAuthenticator } from './authentication.ts';
import { type MessageLimit, Peer, Peers } from './peer.ts';
import { type AgentIdentity, AgentSession } from './session.ts';
import type { SessionPorts } from './session-ports.ts';
import type { Sessions } from './sessions.ts';

/** What a replica that leads offers to agents. */
export interface AgentService {
  readonly ports: SessionPorts;
  readonly sessions: Sessions;
}

/** PEM. */
export interface ServingCertificate {
  readonly certificate: string | Buffer;
  readonly key: string | Buffer;
}

export interface AgentServerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Undefined while this replica does not lead: agents are asked to come again, and reach another one. */
  readonly service: () => AgentService | undefined;
  readonly authenticator: AgentAuthenticator;
  /** Without TLS: for loopback only. With it, handshakes fail until the first `useCertificate`. */
  readonly tls: boolean;
  readonly bindAddress: string;
  readonly port: number;
  /** What one agent may send before it is made to wait. */
  readonly messages?: MessageLimit;
}

const dismissMilliseconds = 1_000;
const bounds = {
  connections: 6_000,
  /** Of one node: the session, the one that renews it, and what a network left half open. */
  connectionsPerNode: 4,
  handshakeMilliseconds: 10_000,
  headerBytes: 16 * 1024,
  /** Pieces of one message that the network may have made of it. */
  bufferedChunks: 8_192,
  /** Parts that the agent may have made of one message; ours makes one. */
  fragments: 64,
} as const;

export class AgentServer {
  readonly #options: AgentServerOptions;
  readonly #http: http.Server;
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: webSocketMaxPayload,
    maxBufferedChunks: bounds.bufferedChunks,
    maxFragments: bounds.fragments,
    autoPong: false,
    perMessageDeflate: false,
    handleProtocols: () => subprotocol,
  });
  /** Connections by node. */
  readonly #open = new Map<string, number>();
  readonly #peers: Peers;
  #closing = false;

  constructor(options: AgentServerOptions) {
    this.#options = options;
    this.#peers = new Peers(() => new Peer(options.clock, options.messages));
    this.#http = createServer(options);
    this.#http.maxConnections = bounds.connections;
    this.#http.on('upgrade', (request, socket, head) => {
      socket.on('error', () => socket.destroy());
      this.#upgrade(request, socket, head).catch((error: unknown) => {
        options.logger.error({ err: error }, 'an agent could not be taken in');
        refuse(socket, 500);
      });
    });
  }

  async listen(): Promise<AddressInfo> {
    this.#http.listen(this.#options.port, this.#options.bindAddress);
    await once(this.#http, 'listening');
    const address = this.#http.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no address');
    return address;
  }

  /** Agents redial at once: their VMs do not notice. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#http.close();
    this.dismiss('the operator shuts down');
    await Promise.race([once(this.#http, 'close'), this.#grace()]);
    for (const socket of this.#webSockets.clients) socket.terminate();
    this.#http.closeAllConnections();
  }

  /** For handshakes from now on; connections that are open go on. */
  useCertificate({ certificate, key }: ServingCertificate): void {
    if (this.#http instanceof https.Server) {
      this.#http.setSecureContext({ cert: certificate, key, minVersion: 'TLSv1.3' });
    }
  }

  /** Every agent is to dial again. */
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
    const { authenticator, logger, service } = this.#options;
    const problem = problemOf(request);
    if (problem !== undefined) return refuse(socket, problem);
    if (this.#closing || service() === undefined) return refuse(socket, 503);
    const bearer = /^Bearer (\S{1,8192})$/.exec(request.headers.authorization ?? '')?.[1];
    if (bearer === undefined) return refuse(socket, 401);
    const authentication = await authenticator.authenticate(bearer);
    if (!authentication.ok) {
      logger.warn({ peer: request.socket.remoteAddress, error: authentication.message }, 'an agent was refused');
      return refuse(socket, authentication.retry ? 503 : 401);
    }
    const current = service();
    if (this.#closing || current === undefined) return refuse(socket, 503);
    const peer = this.#admit(authentication.nodeName);
    if (peer === undefined) {
      current.ports.observer.misbehaved('too_many_connections');
      return refuse(socket, 429);
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      void this.#serve(webSocket, authentication, peer, current);
    });
  }

  #admit(nodeName: string): Peer | undefined {
    const open = this.#open.get(nodeName) ?? 0;
    const peer = this.#peers.of(nodeName);
    return open < bounds.connectionsPerNode && peer.mayConnect() ? peer : undefined;
  }

  async #serve(webSocket: WebSocket, agent: AgentIdentity, peer: Peer, service: AgentService): Promise<void> {
    const { nodeName } = agent;
    const { ports, sessions } = service;
    const session = new AgentSession(agent, peer, ports, sessions);
    sessions.began(session);
    const channel = new Channel<AgentMessage, OperatorMessage>(webSocket, {
      schema: agentMessage,
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
    this.#count(nodeName, 1);
    const closed = await session.run(channel);
    this.#count(nodeName, -1);
    ports.logger.info({ host: nodeName, code: closed.code, reason: closed.reason }, 'an agent disconnected');
    sessions.ended(session);
  }

  #count(nodeName: string, change: 1 | -1): void {
    const open = (this.#open.get(nodeName) ?? 0) + change;
    if (open === 0) this.#open.delete(nodeName);
    else this.#open.set(nodeName, open);
  }
}

function createServer({ tls }: AgentServerOptions): http.Server {
  const common = {
    headersTimeout: bounds.handshakeMilliseconds,
    requestTimeout: bounds.handshakeMilliseconds,
    connectionsCheckingInterval: bounds.handshakeMilliseconds / 2,
    maxHeaderSize: bounds.headerBytes,
  };
  const answer: http.RequestListener = (_request, response) => {
    response.writeHead(426, { connection: 'close' }).end();
  };
  if (!tls) return http.createServer(common, answer);
  return https.createServer(
    { ...common, minVersion: 'TLSv1.3', handshakeTimeout: bounds.handshakeMilliseconds },
    answer,
  );
}

function problemOf(request: http.IncomingMessage): number | undefined {
  if (request.url?.split('?')[0] !== agentsPath) return 404;
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((each) => each.trim());
  return offered.includes(subprotocol) ? undefined : 400;
}

function refuse(socket: Duplex, code: number): void {
  socket.end(`HTTP/1.1 ${code} ${http.STATUS_CODES[code] ?? ''}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
