// /metrics for readers on the network, and nothing else. Strangers can reach this port: they compete for a place with
// their own address first (connections/arrivals.ts), and each connection gets one answer and a few seconds. A reader
// shows a certificate of the authority of readers, a bearer token, or both, as the files say.
//
// Metrics are not worth a program: an unreadable file or a port in use is reported, and tried again a minute later.
import { timingSafeEqual } from 'node:crypto';
import type http from 'node:http';
import type { Clock, Timer } from '../clock.ts';
import { GuardedServer } from '../connections/guarded-server.ts';
import { messageOf } from '../error-text.ts';
import { digestOfToken, MetricsFileReader } from './files.ts';
import type { MetricsSettings } from './flags.ts';
import { type MetricsText, RecentText } from './recent-text.ts';

export interface MetricsServerOptions extends MetricsSettings {
  readonly clock: Clock;
  readonly bindAddress: string | undefined;
  readonly metrics: () => Promise<MetricsText>;
  /** Why metrics cannot be read at present. */
  readonly failed: (message: string) => void;
}

const bounds = {
  headerBytes: 16 * 1024,
  arrivals: { silent: 128, waiting: 128, speaking: 64, milliseconds: 10_000 },
  checkMilliseconds: 60_000,
} as const;

export class MetricsServer {
  readonly #options: MetricsServerOptions;
  readonly #reader: MetricsFileReader;
  readonly #server: GuardedServer;
  readonly #metrics: RecentText;
  #token: Buffer | undefined;
  #port: number | undefined;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: MetricsServerOptions) {
    this.#options = options;
    const { files } = options;
    this.#reader = new MetricsFileReader(files);
    this.#metrics = new RecentText(options.metrics, options.clock);
    this.#server = new GuardedServer({
      ...options,
      tls: files.tls !== undefined,
      clientCertificates: files.tls?.clientAuthority !== undefined,
      headerBytes: bounds.headerBytes,
      arrivals: bounds.arrivals,
      answer: (request, response) => {
        response.setHeader('connection', 'close');
        this.#answer(request, response).catch(() => response.writeHead(500).end());
      },
    });
  }

  /** Resolves to the port, or to undefined if the server does not listen yet. Looks after the files from then on. */
  async start(): Promise<number | undefined> {
    try {
      await this.#refresh();
      this.#port ??= (await this.#server.listen()).port;
    } catch (error) {
      this.#options.failed(`metrics cannot be served: ${messageOf(error)}`);
    }
    if (this.#isClosed) await this.#stop();
    else this.#timer = this.#options.clock.after(bounds.checkMilliseconds, () => void this.start());
    return this.#port;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#stop();
  }

  async #stop(): Promise<void> {
    if (this.#port === undefined) return;
    this.#port = undefined;
    const closed = this.#server.close();
    this.#server.disconnect();
    await closed;
  }

  async #refresh(): Promise<void> {
    const found = await this.#reader.read();
    if (found === undefined) return;
    try {
      if (found.serving !== undefined) this.#server.useCertificate(found.serving);
    } catch (error) {
      this.#reader.forget();
      throw error;
    }
    this.#token = found.token;
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    if (!this.#mayRead(request)) response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
    else if (request.url?.split('?')[0] !== '/metrics') response.writeHead(404).end();
    else {
      const { contentType, text } = await this.#metrics.read();
      response.writeHead(200, { 'content-type': contentType }).end(text);
    }
  }

  /** The certificate, if one is asked for, was judged by the handshake. */
  #mayRead({ headers }: http.IncomingMessage): boolean {
    if (this.#options.files.token === undefined) return true;
    const [, given = ''] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? [];
    return given !== '' && this.#token !== undefined && timingSafeEqual(digestOfToken(given), this.#token);
  }
}
