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
import { AgentSession } from './session.ts';
import type { SessionPorts } from './session-ports.ts';
import type { Sessions } from './sessions.ts';

/** What a replica that leads offers to agents. */
export interface AgentService {
  readonly ports: SessionPorts;
  readonly sessions: Sessions;
}

export interface AgentServerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Undefined while this replica does not lead: agents are asked to come again, and reach another one. */
  readonly service: () => AgentService | undefined;
  readonly authenticator: AgentAuthenticator;
  /** Absent: without TLS, for loopback only. */
  readonly tls: { readonly certificate: Buffer; readonly key: Buffer } | undefined;
  readonly bindAddress: string;
  readonly port: number;
}

const dismissMilliseconds = 1_000;
const bounds = { connections: 6_000, handshakeMilliseconds: 10_000, headerBytes: 16 * 1024 } as const;

export class AgentServer {
  readonly #options: AgentServerOptions;
  readonly #http: http.Server;
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: webSocketMaxPayload,
    perMessageDeflate: false,
    handleProtocols: () => subprotocol,
  });
  #closing = false;

  constructor(options: AgentServerOptions) {
    this.#options = options;
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
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      void this.#serve(webSocket, authentication.nodeName, current);
    });
  }

  async #serve(webSocket: WebSocket, nodeName: string, { ports, sessions }: AgentService): Promise<void> {
    const session = new AgentSession(nodeName, ports, sessions);
    const channel = new Channel<AgentMessage, OperatorMessage>(webSocket, {
      schema: agentMessage,
      clock: ports.clock,
      heartbeat: 'pinger',
      heartbeatSeconds: ports.heartbeatSeconds,
      onMessage: (message) => session.receive(message),
    });
    ports.logger.info({ host: nodeName }, 'an agent connected');
    const closed = await session.run(channel);
    ports.logger.info({ host: nodeName, code: closed.code, reason: closed.reason }, 'an agent disconnected');
    sessions.ended(session);
  }
}

function createServer({ tls }: AgentServerOptions): http.Server {
  const common = {
    headersTimeout: bounds.handshakeMilliseconds,
    requestTimeout: bounds.handshakeMilliseconds,
    maxHeaderSize: bounds.headerBytes,
  };
  const answer: http.RequestListener = (_request, response) => {
    response.writeHead(426, { connection: 'close' }).end();
  };
  if (tls === undefined) return http.createServer(common, answer);
  const { certificate, key } = tls;
  return https.createServer(
    { ...common, cert: certificate, key, minVersion: 'TLSv1.3', handshakeTimeout: bounds.handshakeMilliseconds },
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
