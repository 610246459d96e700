// The HTTPS server of the aggregated API `subresources.lcow.dev` (design §6). The leader has the agents' sessions and serves;
// a standby passes connections on to it as they are, TLS included, so that the API server and the leader still see each
// other's certificates and nobody between them has to be believed.
import { once } from 'node:events';
import type http from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import type { Clock } from '../../runtime/clock.ts';
import type { KeyPair } from '../certificates/authority.ts';
import { Arrivals } from '../connections/arrivals.ts';
import { FairPool } from '../connections/fair-pool.ts';
import { peerAddress } from '../connections/peer-address.ts';
import type { FrontProxy } from './front-proxy.ts';
import { HttpServers, type HttpServersOptions } from './http-servers.ts';
import type { LeaderAddress } from './leader-address.ts';

export interface ApiServerOptions extends HttpServersOptions {
  readonly clock: Clock;
  readonly bindAddress: string;
  readonly port: number;
  readonly frontProxy: FrontProxy;
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
  handshakeMilliseconds: 10_000,
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
  readonly #http: HttpServers;
  /** Answers whoever shows no certificate of the front proxy. */
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
    const proxied = this.#http.forFrontProxy(authority);
    const server = createTlsServer({
      requestCert: true,
      // Judged by us, so that the refusal can be read.
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
    this.#http.connected(socket);
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
