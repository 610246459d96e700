// Requests to the API server: JSON, byte streams, WebSockets. An error answer or a failed connection becomes an
// `ApiFailure`.
import http from 'node:http';
import https from 'node:https';
import { WebSocket } from 'ws';
import type { z } from 'zod';
import { apiStatus, channelSubprotocol, subresourceGroup, subresourceRoot } from '../protocol/subresources.ts';
import { beginning } from '../runtime/beginning.ts';
import type { Cluster } from './cluster.ts';

export class ApiFailure extends Error {
  /** HTTP status code; 0 when there was no answer. */
  readonly code: number;
  /** Reason of the `Status` in the answer, if any. */
  readonly reason: string;

  constructor(code: number, message: string, reason = '') {
    super(message);
    this.name = 'ApiFailure';
    this.code = code;
    this.reason = reason;
  }

  /** The same request may succeed soon: the operator, the API server or the host's agent is restarting. */
  get isPassing(): boolean {
    return [0, 429, 502, 503, 504].includes(this.code);
  }
}

export interface ApiRequest {
  readonly method?: 'GET' | 'PATCH';
  readonly path: string;
  readonly query?: URLSearchParams;
  readonly body?: object;
  /** Of the body. Absent: that of a merge patch. */
  readonly contentType?: string;
  /** The wanted form of the answer. Absent: JSON of the object itself. */
  readonly accept?: string;
  readonly signal?: AbortSignal;
}

export interface ApiOptions {
  /** How long the server may take to answer. 0: as long as it likes. */
  readonly timeoutMilliseconds?: number;
  /** Receives a line for each request, without headers. */
  readonly trace?: (line: string) => void;
}

const mergePatch = 'application/merge-patch+json';
const maximumBodyBytes = 32 << 20;
const answerMilliseconds = 30_000;

export class Api {
  readonly #cluster: Cluster;
  readonly #timeoutMilliseconds: number;
  readonly #trace: (line: string) => void;

  constructor(cluster: Cluster, { timeoutMilliseconds, trace }: ApiOptions = {}) {
    this.#cluster = cluster;
    this.#timeoutMilliseconds = timeoutMilliseconds ?? answerMilliseconds;
    this.#trace = trace ?? (() => undefined);
  }

  get namespace(): string {
    return this.#cluster.namespace;
  }

  async text(request: ApiRequest): Promise<string> {
    return await bodyOf(await this.open(request));
  }

  async json(request: ApiRequest): Promise<unknown> {
    return JSON.parse(await this.text(request));
  }

  /** The body of a successful answer, as it arrives. */
  async open(request: ApiRequest): Promise<http.IncomingMessage> {
    const { accept, body, contentType = mergePatch, method = 'GET', path, signal } = request;
    const options = await this.#cluster.connection();
    const url = this.#url(request);
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      ...(options.headers as http.OutgoingHttpHeaders | undefined),
      'user-agent': 'kubectl-luvm',
      ...(accept !== undefined && { accept }),
      ...(text !== undefined && {
        'content-type': contentType,
        'content-length': Buffer.byteLength(text),
      }),
    };
    const transport = url.protocol === 'https:' ? https : http;
    const started = performance.now();
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const outgoing = transport.request(url, { ...options, method, headers, ...(signal && { signal }) }, resolve);
      outgoing.setTimeout(this.#timeoutMilliseconds, () =>
        outgoing.destroy(new Error('the API server does not answer')),
      );
      outgoing.once('response', () => outgoing.setTimeout(0));
      outgoing.once('error', (error) => reject(new ApiFailure(0, error.message)));
      outgoing.end(text);
    });
    // Whoever reads the body gets the error, too.
    response.on('error', () => undefined);
    response.socket.setKeepAlive(true, 15_000);
    const code = response.statusCode ?? 0;
    this.#trace(answerLine(method, url, code, started));
    if (code >= 200 && code < 300) return response;
    throw failureOf(path, code, await bodyOf(response).catch(() => ''));
  }

  /** An open WebSocket with the subprotocol of streams. Nothing has been received on it yet. */
  async connect(request: ApiRequest): Promise<WebSocket> {
    const url = this.#url(request);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const { agent, auth, ca, cert, headers, key, passphrase, pfx, rejectUnauthorized, servername } =
      await this.#cluster.connection();
    const tls = { agent, auth, ca, cert, headers, key, passphrase, pfx, rejectUnauthorized, servername };
    const given = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined && value !== null));
    const socket = new WebSocket(url, [channelSubprotocol], {
      ...given,
      perMessageDeflate: false,
      ...(this.#timeoutMilliseconds > 0 && { handshakeTimeout: this.#timeoutMilliseconds }),
    });
    const started = performance.now();
    return await new Promise((resolve, reject) => {
      socket.once('open', () => {
        this.#trace(answerLine('GET', url, 101, started));
        // No data may arrive before somebody listens.
        socket.pause();
        resolve(socket);
      });
      socket.once('unexpected-response', (_request, response) => {
        const code = response.statusCode ?? 0;
        this.#trace(answerLine('GET', url, code, started));
        bodyOf(response).then(
          (body) => reject(failureOf(request.path, code, body)),
          () => reject(failureOf(request.path, code, '')),
        );
      });
      socket.once('error', (error) => reject(new ApiFailure(0, error.message)));
    });
  }

  #url({ path, query }: ApiRequest): URL {
    const { server } = this.#cluster;
    const url = new URL(`${server.pathname.replace(/\/$/, '')}${path}`, server);
    url.search = query?.toString() ?? '';
    return url;
  }
}

async function bodyOf(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > maximumBodyBytes) throw new ApiFailure(0, 'the answer is too large');
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The same words as kubectl's. */
function answerLine(method: string, url: URL, code: number, started: number): string {
  const passed = Math.round(performance.now() - started);
  return `${method} ${url.href} ${code} ${http.STATUS_CODES[code] ?? ''} in ${passed} milliseconds`;
}

function failureOf(path: string, code: number, body: string): ApiFailure {
  const status = statusOf(body);
  if (code === 404 && path.startsWith(subresourceRoot) && isUnknownGroup(status)) {
    return new ApiFailure(code, switchedOff, 'AggregatedAPIOff');
  }
  const message = status?.message ?? (beginning(body.trim(), 512) || http.STATUS_CODES[code] || 'no answer');
  return new ApiFailure(code, message, status?.reason);
}

const switchedOff =
  `the cluster does not serve the aggregated API ${subresourceGroup}, which this command needs: it is switched off ` +
  '(aggregatedAPI.enabled of the chart lcow-operator), or the operator is not installed';

/** The API server's own answer for a group that it does not have. The operator names the VM that it does not find. */
function isUnknownGroup(status: z.infer<typeof apiStatus> | undefined): boolean {
  return status === undefined || status.message.startsWith('the server could not find the requested resource');
}

function statusOf(body: string): z.infer<typeof apiStatus> | undefined {
  try {
    return apiStatus.safeParse(JSON.parse(body)).data;
  } catch {
    return undefined;
  }
}
