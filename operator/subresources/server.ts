// The HTTPS server of the aggregated API `subresources.lcow.dev` (design §6). The leader has the agents' sessions and
// serves requests. A standby forwards connections to the leader unchanged, TLS included. So the API server and the
// leader still see each other's certificates, and nobody in between has to be trusted.
import { once } from 'node:events';
import type http from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import type { Clock } from '../../runtime/clock.ts';
import { Arrivals } from '../../runtime/connections/arrivals.ts';
import { FairPool } from '../../runtime/connections/fair-pool.ts';
import { peerAddress } from '../../runtime/connections/peer-address.ts';
import type { KeyPair } from '../certificates/authority.ts';
import type { FrontProxy } from './front-proxy.ts';
import { HttpServers, type HttpServersOptions } from './http-servers.ts';
import type { LeaderAddress } from './leader-address.ts';

export interface ApiServerOptions extends HttpServersOptions {
  readonly clock: Clock;
  readonly bindAddress: string | undefined;
  readonly port: number;
  readonly frontProxy: FrontProxy;
  readonly leader: LeaderAddress;
}

const bounds = {
  /** Connections of the API server. */
  connections: 1_700,
  /**
   * Connections of peers that have not proved yet that they are the API server. They last as long as that may take
   * (runtime/connections/arrivals.ts).
   */
  arrivals: { silent: 1_024, waiting: 1_024, speaking: 512, milliseconds: 5_000 },
  backlog: 1_024,
  /** Forwarded connections count as strangers' until the leader would have closed those. */
  forwarded: 1_024,
  strangersMilliseconds: 6_000,
  handshakeMilliseconds: 10_000,
  connectMilliseconds: 5_000,
  /** Silence after which TCP probes the other side: a follower of a quiet log may be gone unnoticed. */
  probeMilliseconds: 30_000,
} as const;

export class ApiServer {
  readonly #options: ApiServerOptions;
  readonly #listener: Server;
  /** Serves new connections. */
  #tls: TlsServer | undefined;
  /** PEM of the authority whose certificates `#tls` requests. */
  #authority: string | undefined;
  readonly #http: HttpServers;
  /** Answers connections without a certificate of the front proxy. */
  readonly #strangers: http.Server;
  readonly #arrivals: Arrivals;
  readonly #forwarded = new FairPool<Socket>(bounds.forwarded);
  #admitted = 0;
  readonly #sockets = new Set<Socket>();
  #certificate: KeyPair | undefined;

  constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#http = new HttpServers(options);
    this.#strangers = this.#http.forStrangers();
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

  /** Applies to new handshakes. */
  useCertificate(certificate: KeyPair): void {
    this.#certificate = certificate;
    this.#secure();
  }

  /**
   * The front proxy's authority has changed. Open streams continue; connections admitted by the former authority can
   * send no more requests.
   */
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

  /** A server whose connections are asked for, and judged by, a certificate of this authority. */
  #createServer(authority: string): TlsServer {
    const proxied = this.#http.forFrontProxy(authority);
    const server = createTlsServer({
      requestCert: true,
      // Our own code judges the certificate, so that the client can read the refusal.
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['http/1.1'],
      handshakeTimeout: bounds.handshakeMilliseconds,
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

  /** The connection speaks TLS, and its turn has come. */
  #greeted(socket: Socket): void {
    if (this.#options.leads()) {
      this.#serve(socket);
      return;
    }
    this.#arrivals.admit(socket);
    this.#hold(socket);
    this.#forward(socket).catch(() => socket.destroy());
  }

  /** Only the leader finds out who the peer is. */
  #hold(socket: Socket): void {
    this.#forwarded.add(peerAddress(socket), socket)?.destroy();
    const timer = this.#options.clock.after(bounds.strangersMilliseconds, () => this.#forwarded.delete(socket));
    socket.once('close', () => {
      timer.cancel();
      this.#forwarded.delete(socket);
    });
  }

  /** The peer has presented the certificate of the front proxy. */
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
    this.#http.connected(socket);
    server.emit('connection', socket);
  }

  #serve(socket: Socket): void {
    // Without the front proxy's authority, nobody can be identified.
    if (this.#tls === undefined) socket.destroy();
    else this.#tls.emit('connection', socket);
  }

  async #forward(socket: Socket): Promise<void> {
    socket.pause();
    const address = await this.#options.leader.find();
    const leader = address && (await dial(address.host, address.port));
    // The answer depends on whether somebody leads by now.
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
