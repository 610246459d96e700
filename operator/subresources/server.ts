// The HTTPS server of the aggregated API `subresources.lcow.dev` (design §6). The leader has the agents' sessions and serves;
// a standby passes connections on to it as they are, TLS included, so that the API server and the leader still see each
// other's certificates and nobody between them has to be believed.
import { once } from 'node:events';
import type http from 'node:http';
import https from 'node:https';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { WebSocketServer } from 'ws';
import type { Clock } from '../../protocol/clock.ts';
import { channelSubprotocol } from '../../protocol/subresources.ts';
import type { KeyPair } from '../certificates/authority.ts';
import { answerWithBytes, withoutPositions } from './byte-response.ts';
import { ChannelSocket, maximumMessageBytes } from './channel-socket.ts';
import { discoveryDocument } from './discovery.ts';
import type { FrontProxy } from './front-proxy.ts';
import type { LeaderAddress } from './leader-address.ts';
import type { BegunStream, MachineStreams } from './machine-streams.ts';
import { badRequest, notFound, type Refusal, statusOf, unavailable } from './refusal.ts';
import { type MachineRequest, type Read, readExecQuery, readLogQuery, readMachineRequest } from './request.ts';
import { RequestDeadlines } from './request-deadlines.ts';

export interface ApiServerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly bindAddress: string;
  readonly port: number;
  readonly frontProxy: FrontProxy;
  readonly streams: MachineStreams;
  /** Whether this replica has the agents. */
  readonly leads: () => boolean;
  readonly leader: LeaderAddress;
}

const bounds = {
  connections: 1_200,
  headerMilliseconds: 10_000,
  /** Between two requests of one connection. */
  idleMilliseconds: 90_000,
  headerBytes: 64 * 1024,
  connectMilliseconds: 5_000,
  /** Silence of the other side before it is probed, by TCP: a follower of a quiet log may be gone without a word. */
  probeMilliseconds: 30_000,
} as const;

interface Upgrade {
  readonly request: http.IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly authority: string;
}

export class ApiServer {
  readonly #options: ApiServerOptions;
  readonly #listener: Server;
  /** For connections from now on. */
  #https: https.Server | undefined;
  /** Whose certificates `#https` asks for, PEM. */
  #authority: string | undefined;
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: maximumMessageBytes,
    perMessageDeflate: false,
    handleProtocols: () => channelSubprotocol,
  });
  readonly #sockets = new Set<Socket>();
  readonly #deadlines: RequestDeadlines;
  #certificate: KeyPair | undefined;

  constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#deadlines = new RequestDeadlines(options.clock, bounds);
    const tcp = { noDelay: true, keepAlive: true, keepAliveInitialDelay: bounds.probeMilliseconds };
    this.#listener = createServer(tcp, (socket) => this.#arrive(socket));
    this.#listener.maxConnections = bounds.connections;
  }

  async listen(): Promise<AddressInfo> {
    this.#listener.listen(this.#options.port, this.#options.bindAddress);
    await once(this.#listener, 'listening');
    const address = this.#listener.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no address');
    return address;
  }

  async close(): Promise<void> {
    this.#listener.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** For handshakes from now on. */
  useCertificate(certificate: KeyPair): void {
    this.#certificate = certificate;
    this.#secure();
  }

  /** The front proxy's authority is another one. Streams that are open go on; who was let in by the former asks no more. */
  trustFrontProxy(): void {
    this.#secure();
  }

  #secure(): void {
    const { authority } = this.#options.frontProxy;
    if (this.#certificate === undefined || authority === undefined) return;
    if (authority !== this.#authority) {
      this.#https?.closeIdleConnections();
      this.#https = this.#createServer(authority);
      this.#authority = authority;
    }
    const { certificate, key } = this.#certificate;
    this.#https?.setSecureContext({ cert: certificate, key, ca: authority, minVersion: 'TLSv1.3' });
  }

  /** Its connections have shown, or will, a certificate of this authority; they are judged by that. */
  #createServer(authority: string): https.Server {
    const server = https.createServer(
      {
        requestCert: true,
        // Judged by the request, so that the refusal can be read.
        rejectUnauthorized: false,
        minVersion: 'TLSv1.3',
        handshakeTimeout: bounds.headerMilliseconds,
        keepAliveTimeout: bounds.idleMilliseconds,
        maxHeaderSize: bounds.headerBytes,
      },
      (request, response) => void this.#guarded(response, () => this.#answer(request, response, authority)),
    );
    server.on('secureConnection', (socket) => this.#deadlines.connected(socket));
    server.on('upgrade', (request, socket, head) => {
      socket.on('error', () => socket.destroy());
      this.#upgrade({ request, socket, head, authority }).catch((error: unknown) => {
        this.#options.logger.error({ err: error }, 'a request for a subresource could not be served');
        refuseUpgrade(socket, internalError);
      });
    });
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    return server;
  }

  // --- connections ----------------------------------------------------------------------------------------------------

  #arrive(socket: Socket): void {
    this.#track(socket);
    if (this.#options.leads()) {
      this.#serve(socket);
      return;
    }
    this.#forward(socket).catch(() => socket.destroy());
  }

  #serve(socket: Socket): void {
    // Without the front proxy's authority nobody could be told from anybody.
    if (this.#https === undefined) socket.destroy();
    else this.#https.emit('connection', socket);
  }

  async #forward(socket: Socket): Promise<void> {
    socket.pause();
    const address = await this.#options.leader.find();
    const leader = address && (await dial(address.host, address.port));
    // Whoever leads by now, or nobody: the answer says so.
    if (leader === undefined) {
      this.#serve(socket);
      return;
    }
    this.#track(leader);
    socket.once('close', () => leader.destroy());
    leader.once('close', () => socket.destroy());
    socket.pipe(leader);
    leader.pipe(socket);
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
  }

  // --- requests -------------------------------------------------------------------------------------------------------

  async #guarded(response: http.ServerResponse, answer: () => Promise<void>): Promise<void> {
    try {
      await answer();
    } catch (error) {
      this.#options.logger.error({ err: error }, 'a request for a subresource could not be served');
      if (response.headersSent) response.destroy();
      else refuse(response, internalError);
    }
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse, authority: string): Promise<void> {
    this.#deadlines.asked(request.socket, response);
    // Nobody waits for what is not read: the connection ends with the answer.
    if (hasBody(request)) response.shouldKeepAlive = false;
    const url = urlOf(request);
    const admitted = this.#admit(request, authority);
    if (!admitted.ok) return refuse(response, admitted.refusal);
    if (hasBody(request)) return refuse(response, badRequest('a request has no body here'));
    if (request.method !== 'GET') return refuse(response, badRequest('only GET is served'));
    const document = discoveryDocument(url.pathname.replace(/\/$/, ''));
    if (document !== undefined) return sendJson(response, 200, document);
    const wanted = readMachineRequest(url);
    if (wanted === undefined) return refuse(response, notFound('the server has no such resource'));
    if (wanted.subresource === 'exec' || wanted.subresource === 'console') {
      return refuse(response, badRequest(`${wanted.subresource} needs a WebSocket, subprotocol ${channelSubprotocol}`));
    }
    if (wanted.subresource === 'log') return this.#log(wanted, response);
    const begun = await this.#begin(wanted, (uid) => ({ ok: true, value: { type: 'document', uid } }));
    if (!begun.ok) return refuse(response, begun.refusal);
    return answerWithBytes(begun.value, response, { contentType: 'application/json' });
  }

  async #log(wanted: MachineRequest, response: http.ServerResponse): Promise<void> {
    const query = readLogQuery(wanted);
    if (!query.ok) return refuse(response, query.refusal);
    const { positions, ...request } = query.value;
    const begun = await this.#begin(wanted, (uid) => ({ ok: true, value: { type: 'logFollow', uid, ...request } }));
    if (!begun.ok) return refuse(response, begun.refusal);
    return answerWithBytes(begun.value, response, {
      contentType: 'text/plain; charset=utf-8',
      ...(!positions && { transform: withoutPositions() }),
    });
  }

  async #upgrade({ authority, head, request, socket }: Upgrade): Promise<void> {
    this.#deadlines.taken(request.socket);
    const admitted = this.#admit(request, authority);
    if (!admitted.ok) return refuseUpgrade(socket, admitted.refusal);
    const wanted = readMachineRequest(urlOf(request));
    if (wanted?.subresource !== 'exec' && wanted?.subresource !== 'console') {
      return refuseUpgrade(socket, notFound('the server has no such resource for WebSockets'));
    }
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((each) => each.trim());
    if (!offered.includes(channelSubprotocol)) {
      return refuseUpgrade(socket, badRequest(`the subprotocol must be ${channelSubprotocol}`));
    }
    const begun = await this.#begin(wanted, (uid) =>
      wanted.subresource === 'exec' ? readExecQuery(wanted, uid) : { ok: true, value: { type: 'console', uid } },
    );
    if (!begun.ok) return refuseUpgrade(socket, begun.refusal);
    const { logger } = this.#options;
    const { name, namespace, subresource } = wanted;
    logger.info({ vm: `${namespace}/${name}`, user: admitted.user, subresource }, 'a user has a stream to a VM');
    if (socket.destroyed) return begun.value.stream.close();
    socket.once('close', () => begun.value.stream.close());
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      void new ChannelSocket(webSocket, begun.value, this.#options.clock).serve();
    });
  }

  async #begin(
    wanted: MachineRequest,
    request: (uid: string) => Read<Parameters<MachineStreams['begin']>[1]>,
  ): Promise<Read<BegunStream>> {
    const { streams } = this.#options;
    const read = request(streams.uidOf(wanted) ?? '');
    return read.ok ? await streams.begin(wanted, read.value) : read;
  }

  #admit(
    request: http.IncomingMessage,
    authority: string,
  ): { readonly ok: true; readonly user: string } | { readonly ok: false; readonly refusal: Refusal } {
    const asker = this.#options.frontProxy.judge(request, authority);
    if (!asker.ok) {
      this.#options.logger.warn({ peer: request.socket.remoteAddress, error: asker.message }, 'a request was refused');
      return { ok: false, refusal: { code: 401, reason: 'Unauthorized', message: 'ask the API server' } };
    }
    if (!this.#options.leads()) return { ok: false, refusal: unavailable('no replica of the operator leads just now') };
    return asker;
  }
}

const internalError: Refusal = { code: 500, reason: 'InternalError', message: 'the operator could not serve this' };

function hasBody({ headers }: http.IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;
}

function urlOf(request: http.IncomingMessage): URL {
  return new URL(request.url ?? '/', 'https://operator');
}

function dial(host: string, port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: bounds.probeMilliseconds,
    });
    socket.setTimeout(bounds.connectMilliseconds, () => socket.destroy());
    socket.once('connect', () => {
      socket.setTimeout(0);
      resolve(socket);
    });
    socket.once('error', () => resolve(undefined));
    socket.once('close', () => resolve(undefined));
  });
}

/** The connection goes too: it may have come while another replica led. */
function refuse(response: http.ServerResponse, refusal: Refusal): void {
  const { code, retryAfterSeconds } = refusal;
  if (retryAfterSeconds !== undefined) response.setHeader('retry-after', retryAfterSeconds);
  if (code === 503 || code === 401) response.setHeader('connection', 'close');
  sendJson(response, code, statusOf(refusal));
}

function sendJson(response: http.ServerResponse, code: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(code, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text);
}

function refuseUpgrade(socket: Duplex, refusal: Refusal): void {
  const body = JSON.stringify(statusOf(refusal));
  const retry = refusal.retryAfterSeconds === undefined ? '' : `Retry-After: ${refusal.retryAfterSeconds}\r\n`;
  const head = `HTTP/1.1 ${refusal.code} ${refusal.reason}\r\nConnection: close\r\n${retry}Content-Type: application/json\r\n`;
  socket.end(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}
