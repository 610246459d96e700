// The WebSocket server that agents connect to, over TLS 1.3 on /v1/agents (design §7). A peer that the door refuses gets
// a plain HTTP answer and occupies no memory.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { WebSocketServer } from 'ws';
import { webSocketMaxPayload } from '../../protocol/channel.ts';
import { agentsPath, subprotocol } from '../../protocol/messages.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { ArrivalBounds } from '../../runtime/connections/arrivals.ts';
import { GuardedServer, type ServingCertificate } from '../../runtime/connections/guarded-server.ts';
import { peerAddress } from '../../runtime/connections/peer-address.ts';
import type { AgentDoor } from './door.ts';

export interface AgentServerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly door: AgentDoor;
  /** False for loopback only. With TLS, handshakes fail until the first `useCertificate`. */
  readonly tls: boolean;
  readonly bindAddress: string | undefined;
  readonly port: number;
  readonly arrivals?: Partial<ArrivalBounds>;
}

const graceMilliseconds = 1_000;
const bounds = {
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
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: webSocketMaxPayload,
    maxBufferedChunks: bounds.bufferedChunks,
    maxFragments: bounds.fragments,
    autoPong: false,
    perMessageDeflate: false,
    clientTracking: false,
    handleProtocols: () => subprotocol,
  });

  constructor(options: AgentServerOptions) {
    this.#options = options;
    this.#server = new GuardedServer({ ...options, headerBytes: bounds.headerBytes, answer: refuseRequest });
    this.#server.http.on('upgrade', (request, socket, head) => {
      socket.on('error', () => socket.destroy());
      this.#upgrade(request, socket, head).catch((error: unknown) => {
        options.logger.error({ err: error }, 'an agent could not be accepted');
        refuse(socket, 500);
      });
    });
  }

  listen(): Promise<AddressInfo> {
    return this.#server.listen();
  }

  /** Agents reconnect at once; their VMs do not notice. */
  async close(): Promise<void> {
    const { clock, door } = this.#options;
    const closed = this.#server.close();
    door.close();
    await Promise.race([closed, new Promise<void>((resolve) => clock.after(graceMilliseconds, resolve))]);
    door.disconnect();
    this.#server.disconnect();
  }

  /** Applies to new handshakes; open connections continue. */
  useCertificate(certificate: ServingCertificate): void {
    this.#server.useCertificate(certificate);
  }

  async #upgrade(request: http.IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const problem = problemOf(request);
    if (problem !== undefined) return refuse(socket, problem);
    const bearer = /^Bearer (\S{1,8192})$/.exec(request.headers.authorization ?? '')?.[1];
    const answer = await this.#options.door.knock({ bearer, address: peerAddress(request.socket) });
    if (answer.kind === 'Refused') return refuse(socket, answer.status);
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#server.admit(request);
      answer.enter(webSocket);
    });
  }
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
