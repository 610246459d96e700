// The HTTPS server of the aggregated API `subresources.lcow.dev` (design §6). The leader has the agents' sessions and serves;
// a standby passes connections on to it as they are, TLS included, so that the API server and the leader still see each
// other's certificates and nobody between them has to be believed.
import { once } from 'node:events';
import http from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import type { Logger } from 'pino';
import type { Clock } from '../../runtime/clock.ts';
import { plainText } from '../../runtime/plain-text.ts';
import type { KeyPair } from '../certificates/authority.ts';
import { Arrivals } from '../connections/arrivals.ts';
import { FairPool } from '../connections/fair-pool.ts';
import { peerAddress } from '../connections/peer-address.ts';
import type { FrontProxy } from './front-proxy.ts';
import { hasBody, refuse, refuseConnection } from './http-answers.ts';
import type { LeaderAddress } from './leader-address.ts';
import type { MachineRequests } from './machine-requests.ts';
import { badRequest, type Refusal, unauthorized, unavailable } from './refusal.ts';
import type { RemoteUser } from './remote-user.ts';
import { RequestDeadlines } from './request-deadlines.ts';

export interface ApiServerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly bindAddress: string;
  readonly port: number;
  readonly frontProxy: FrontProxy;
  readonly requests: MachineRequests;
  /** Whether this replica has the agents. */
  readonly leads: () => boolean;
  readonly leader: LeaderAddress;
}

const bounds = {
  /** Of the API server. */
  connections: 1_200,
  /** Of who has not shown yet that it is the API server. They last as long as that may take (connections/arrivals.ts). */
  arrivals: { silent: 1_024, waiting: 1_024, speaking: 512, milliseconds: 5_000 },
  backlog: 1_024,
  /** Connections that are passed on count as strangers' until the leader would have ended those. */
  forwarded: 1_024,
  strangersMilliseconds: 6_000,
  headerMilliseconds: 10_000,
  /** Between two requests of one connection. */
  idleMilliseconds: 90_000,
  /** A user may have a thousand groups, and a command its arguments. */
  headerBytes: 128 * 1024,
  strangerHeaderBytes: 8 * 1024,
  /** Between two lines of the log about strangers. */
  tellMilliseconds: 1_000,
  connectMilliseconds: 5_000,
  /** Silence of the other side before it is probed, by TCP: a follower of a quiet log may be gone without a word. */
  probeMilliseconds: 30_000,
} as const;

export class ApiServer {
  readonly #options: ApiServerOptions;
  readonly #listener: Server;
  /** For connections from now on. */
  #tls: TlsServer | undefined;
  /** Whose certificates `#tls` asks for, PEM. */
  #authority: string | undefined;
  /** Answers whoever shows no certificate of the front proxy. */
  readonly #strangers: http.Server;
  readonly #arrivals: Arrivals;
  readonly #forwarded = new FairPool<Socket>(bounds.forwarded);
  #admitted = 0;
  readonly #sockets = new Set<Socket>();
  readonly #deadlines: RequestDeadlines;
  /** Strangers fill no log: when one was told of, and how many were not since. */
  #told = { at: Number.NEGATIVE_INFINITY, since: 0 };
  #certificate: KeyPair | undefined;

  constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#deadlines = new RequestDeadlines(options.clock, bounds);
    this.#strangers = this.#serverForStrangers();
    const tcp = { noDelay: true, keepAlive: true, keepAliveInitialDelay: bounds.probeMilliseconds };
    this.#listener = createServer(tcp, (socket) => this.#arrive(socket));
    const serve = (socket: Socket) => this.#greeted(socket);
    this.#arrivals = new Arrivals({ clock: options.clock, tls: true, serve, bounds: bounds.arrivals });
  }

  async listen(): Promise<AddressInfo> {
    const { bindAddress: host, port } = this.#options;
    this.#listener.listen({ port, host, backlog: bounds.backlog });
    await once(this.#listener, 'listening');
    const address = this.#listener.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no address');
    return address;
  }

  async close(): Promise<void> {
    this.#listener.close();
    this.#arrivals.destroy();
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
      this.#tls = this.#createServer(authority);
      this.#authority = authority;
    }
    const { certificate, key } = this.#certificate;
    this.#tls?.setSecureContext({ cert: certificate, key, ca: authority, minVersion: 'TLSv1.3' });
  }

  /** Its connections have shown, or will, a certificate of this authority; they are judged by that. */
  #createServer(authority: string): TlsServer {
    const proxied = this.#serverForFrontProxy(authority);
    const server = createTlsServer({
      requestCert: true,
      // Judged by us, so that the refusal can be read.
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['http/1.1'],
      handshakeTimeout: bounds.headerMilliseconds,
    });
    server.on('secureConnection', (socket) => {
      if (this.#options.frontProxy.knows(socket, authority).ok) this.#admit(socket, proxied);
      else this.#strangers.emit('connection', socket);
    });
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    return server;
  }

  // --- connections ----------------------------------------------------------------------------------------------------

  #arrive(socket: Socket): void {
    this.#track(socket);
    this.#arrivals.arrive(socket);
  }

  /** It speaks TLS, and its turn has come. */
  #greeted(socket: Socket): void {
    if (this.#options.leads()) {
      this.#serve(socket);
      return;
    }
    this.#arrivals.admit(socket);
    this.#hold(socket);
    this.#forward(socket).catch(() => socket.destroy());
  }

  /** The leader alone sees who it is. */
  #hold(socket: Socket): void {
    this.#forwarded.add(peerAddress(socket), socket)?.destroy();
    const timer = this.#options.clock.after(bounds.strangersMilliseconds, () => this.#forwarded.delete(socket));
    socket.once('close', () => {
      timer.cancel();
      this.#forwarded.delete(socket);
    });
  }

  /** It has shown the certificate of the front proxy. */
  #admit(socket: TLSSocket, server: http.Server): void {
    this.#arrivals.admit(socket);
    if (this.#admitted >= bounds.connections) {
      socket.destroy();
      return;
    }
    this.#admitted += 1;
    socket.once('close', () => {
      this.#admitted -= 1;
    });
    this.#deadlines.connected(socket);
    server.emit('connection', socket);
  }

  #serve(socket: Socket): void {
    // Without the front proxy's authority nobody could be told from anybody.
    if (this.#tls === undefined) socket.destroy();
    else this.#tls.emit('connection', socket);
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

  #serverForFrontProxy(authority: string): http.Server {
    const { clock, requests } = this.#options;
    const server = http.createServer({
      keepAliveTimeout: bounds.idleMilliseconds,
      maxHeaderSize: bounds.headerBytes,
    });
    // Node leaves out what is more than so many headers; groups must not be left out. Their bytes are bounded.
    server.maxHeadersCount = 0;
    this.#onEveryRequest(server, async (request, response) => {
      this.#deadlines.asked(request.socket, response);
      // Nobody waits for what is not read: the connection ends with the answer.
      if (hasBody(request)) response.shouldKeepAlive = false;
      const admitted = this.#judge(request, authority);
      if (admitted.ok) await requests.answer(admitted.user, request, response);
      else refuse(response, admitted.refusal);
    });
    server.on('upgrade', (request, socket, head) => {
      this.#deadlines.taken(request.socket);
      socket.on('error', () => socket.destroy());
      const admitted = this.#judge(request, authority);
      if (!admitted.ok) return refuseConnection(socket, admitted.refusal, clock);
      requests.upgrade(admitted.user, { request, socket, head }).catch((error: unknown) => {
        this.#unexpected(error);
        refuseConnection(socket, internalError, clock);
      });
    });
    return server;
  }

  /** What they ask is not read: all of it has the same answer. */
  #serverForStrangers(): http.Server {
    const server = http.createServer({ maxHeaderSize: bounds.strangerHeaderBytes, requireHostHeader: false });
    this.#onEveryRequest(server, async (request, response) => {
      this.#tellStranger(request, 'there is no client certificate of the front proxy');
      refuse(response, stranger);
    });
    return server;
  }

  #onEveryRequest(
    server: http.Server,
    serve: (request: http.IncomingMessage, response: http.ServerResponse) => Promise<void>,
  ): void {
    const { clock } = this.#options;
    const answer = (request: http.IncomingMessage, response: http.ServerResponse) => {
      serve(request, response).catch((error: unknown) => {
        this.#unexpected(error);
        if (response.headersSent) response.destroy();
        else refuse(response, internalError);
      });
    };
    for (const event of ['request', 'checkContinue', 'checkExpectation']) server.on(event, answer);
    server.on('connect', (_request, socket) => {
      socket.on('error', () => socket.destroy());
      refuseConnection(socket, badRequest('only GET is served'), clock);
    });
    server.on('clientError', (_error, socket) => {
      if (this.#deadlines.isAnswering(socket)) socket.destroy();
      else refuseConnection(socket, badRequest('this is no request of HTTP/1.1, or its header is too large'), clock);
    });
  }

  #unexpected(error: unknown): void {
    this.#options.logger.error({ err: error }, 'a request for a subresource could not be served');
  }

  #judge(
    request: http.IncomingMessage,
    authority: string,
  ): { readonly ok: true; readonly user: RemoteUser } | { readonly ok: false; readonly refusal: Refusal } {
    const asker = this.#options.frontProxy.judge(request, authority);
    if (!asker.ok) {
      this.#tellStranger(request, asker.message);
      return { ok: false, refusal: stranger };
    }
    if (!this.#options.leads()) return { ok: false, refusal: unavailable('no replica of the operator leads just now') };
    return asker;
  }

  #tellStranger({ socket }: http.IncomingMessage, error: string): void {
    const { clock, logger } = this.#options;
    const now = clock.now();
    if (Math.abs(now - this.#told.at) < bounds.tellMilliseconds) {
      this.#told.since += 1;
      return;
    }
    const peer = socket.remoteAddress;
    logger.warn({ peer, error: plainText(error), untold: this.#told.since }, 'a request was refused');
    this.#told = { at: now, since: 0 };
  }
}

const internalError: Refusal = { code: 500, reason: 'InternalError', message: 'the operator could not serve this' };
const stranger = unauthorized('ask the API server');

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
