// An HTTP server for peers whose identity is not known yet. Connections reach it as arrivals (arrivals.ts), and a peer
// that is not admitted in time is disconnected. So a slow handshake, a header that arrives byte by byte, a silent
// connection and a connection with endless requests all get the same few seconds.
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import { type ArrivalBounds, Arrivals } from './arrivals.ts';

export interface GuardedServerOptions {
  readonly clock: Clock;
  /** With TLS, handshakes fail until the first `useCertificate`. */
  readonly tls: boolean;
  /** Whether peers must show a certificate of `clientAuthority`. Needs TLS. */
  readonly clientCertificates?: boolean;
  /** Undefined: every address of the computer. */
  readonly bindAddress: string | undefined;
  readonly port: number;
  readonly headerBytes: number;
  readonly answer: http.RequestListener;
  readonly arrivals?: Partial<ArrivalBounds> | undefined;
}

/** PEM. */
export interface ServingCertificate {
  readonly certificate: string | Buffer;
  readonly key: string | Buffer;
  readonly clientAuthority?: string | Buffer | undefined;
}

/**
 * Connections that the kernel holds until they are accepted. A client without a place there tries again a second later.
 */
const backlog = 4_096;
/** Most bytes that one connection sent and nobody has read yet. */
const unreadMaximum = 16 * 1024;

export class GuardedServer {
  /** This server does not listen itself. */
  readonly http: http.Server;
  readonly #options: GuardedServerOptions;
  readonly #listener: Server;
  readonly #arrivals: Arrivals;
  readonly #sockets = new Set<Socket>();

  constructor(options: GuardedServerOptions) {
    const { clock, tls, clientCertificates: requestCert = false, headerBytes, answer, arrivals } = options;
    this.#options = options;
    const common = { maxHeaderSize: headerBytes };
    this.http = tls
      ? https.createServer({ ...common, requestCert, rejectUnauthorized: requestCert, minVersion: 'TLSv1.3' }, answer)
      : http.createServer(common, answer);
    this.#arrivals = new Arrivals({
      clock,
      tls,
      serve: (socket) => this.http.emit('connection', socket),
      ...(arrivals && { bounds: arrivals }),
    });
    this.#listener = createServer({ noDelay: true, highWaterMark: unreadMaximum }, (socket) => this.#arrive(socket));
  }

  async listen(): Promise<AddressInfo> {
    const { port, bindAddress: host } = this.#options;
    this.#listener.listen({ port, host, backlog });
    await once(this.#listener, 'listening');
    const address = this.#listener.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no address');
    return address;
  }

  /** The peer of this request is known: its connection may stay. */
  admit({ socket }: http.IncomingMessage): void {
    this.#arrivals.admit(socket);
  }

  /** Applies to new handshakes; open connections continue. */
  useCertificate({ certificate, key, clientAuthority }: ServingCertificate): void {
    if (this.http instanceof https.Server) {
      const ca = clientAuthority === undefined ? {} : { ca: clientAuthority };
      this.http.setSecureContext({ cert: certificate, key, ...ca, minVersion: 'TLSv1.3' });
    }
  }

  /** Accepts no more connections. Resolves when all are gone; `disconnect` closes them. */
  async close(): Promise<void> {
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    this.#arrivals.destroy();
    await closed;
  }

  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #arrive(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    this.#arrivals.arrive(socket);
  }
}
