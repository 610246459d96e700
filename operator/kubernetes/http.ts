// One way to the API server: HTTP/1.1 over bounded pools, with authentication, a User-Agent that audit logs and priority
// levels can tell, a timeout for each request, and retries of reads.
import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { type Clock, delay, type Random } from '../../protocol/clock.ts';
import { type ApiError, apiErrorFromStatus, connectionError, failed, type Outcome, succeeded } from './api-error.ts';
import type { ClusterAccess, Credentials } from './cluster-access.ts';

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean>>;
  readonly body?: object;
  readonly contentType?: 'application/json' | 'application/merge-patch+json';
  readonly signal?: AbortSignal;
  /** Nobody wants to know what a successful answer says. */
  readonly ignoreAnswer?: boolean;
  /** Given up when nothing arrives for this long. */
  readonly idleMilliseconds?: number;
}

export interface KubeHttpOptions {
  readonly access: ClusterAccess;
  readonly clock: Clock;
  readonly random: Random;
  readonly version: string;
  /** Tells the replicas apart in audit logs. */
  readonly replica?: string;
  /** Called once for each answer or failure, for metrics. */
  readonly onResult?: (method: string, code: number) => void;
  /** Asked at the last moment before anything is sent that is not a read. */
  readonly mayWrite?: () => boolean;
}

const idleMillisecondsDefault = 30_000;
const readAttempts = 5;
const backoff = { firstMilliseconds: 200, capMilliseconds: 10_000 } as const;
const responseBytesMaximum = 512 << 20;

export class KubeHttp {
  readonly #options: KubeHttpOptions;
  readonly #server: Server;
  readonly #userAgent: string;

  constructor(options: KubeHttpOptions) {
    const { access, version, replica } = options;
    this.#options = options;
    this.#server = serverAt(access.server);
    this.#userAgent = `lcow-operator/${version}${replica === undefined ? '' : ` (${replica})`}`;
  }

  /** The JSON of a successful answer. Reads are repeated; writes never, since their caller computes them anew. */
  async request(request: KubeRequest): Promise<Outcome<unknown>> {
    const attempts = request.method === 'GET' ? readAttempts : 1;
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#once(request);
      if (outcome.ok || attempt >= attempts || !outcome.error.retryable) return outcome;
      try {
        await delay(this.#options.clock, this.#pause(attempt, outcome.error), request.signal);
      } catch {
        return failed(connectionError('Aborted', 'the request was given up'));
      }
    }
  }

  /** The lines of an answer that goes on until the server or `signal` ends it. */
  async lines(request: KubeRequest): Promise<Outcome<AsyncIterable<string>>> {
    const opened = await this.#open(request, (credentials) => credentials.watches);
    if (!opened.ok) return opened;
    const response = opened.value;
    if (response.statusCode === 200) return succeeded(linesOf(response));
    return failed(await this.#errorOf(response));
  }

  async #once(request: KubeRequest): Promise<Outcome<unknown>> {
    const opened = await this.#open(request, (credentials) => credentials.requests);
    if (!opened.ok) {
      this.#options.onResult?.(request.method, 0);
      return opened;
    }
    const response = opened.value;
    const code = response.statusCode ?? 0;
    this.#options.onResult?.(request.method, code);
    if (code < 200 || code > 299) return failed(await this.#errorOf(response));
    return request.ignoreAnswer === true ? skip(response) : readJson(response);
  }

  async #open(
    request: KubeRequest,
    pool: (credentials: Credentials) => http.Agent,
  ): Promise<Outcome<http.IncomingMessage>> {
    const first = await this.#send(request, pool, false);
    if (!first.ok || first.value.statusCode !== 401) return first;
    first.value.resume();
    return this.#send(request, pool, true);
  }

  async #send(
    request: KubeRequest,
    pool: (credentials: Credentials) => http.Agent,
    fresh: boolean,
  ): Promise<Outcome<http.IncomingMessage>> {
    const { access, mayWrite } = this.#options;
    let credentials: Credentials;
    try {
      credentials = await access.credentials(fresh);
    } catch (error) {
      return failed(connectionError('ConnectionFailed', `credentials could not be read: ${messageOf(error)}`));
    }
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const headers: http.OutgoingHttpHeaders = {
      ...credentials.headers,
      accept: 'application/json',
      'user-agent': this.#userAgent,
      ...(body === undefined
        ? {}
        : {
            'content-type': request.contentType ?? 'application/json',
            'content-length': Buffer.byteLength(body),
          }),
    };
    return exchange(this.#server, {
      method: request.method,
      path: pathOf(this.#server, request),
      maySend: request.method === 'GET' || mayWrite === undefined ? () => true : mayWrite,
      agent: pool(credentials),
      headers,
      body,
      signal: request.signal,
      idleMilliseconds: request.idleMilliseconds ?? idleMillisecondsDefault,
    });
  }

  async #errorOf(response: http.IncomingMessage): Promise<ApiError> {
    const body = await readJson(response);
    return apiErrorFromStatus(response.statusCode ?? 0, body.ok ? body.value : {}, response.headers['retry-after']);
  }

  #pause(attempt: number, error: ApiError): number {
    const ceiling = Math.min(backoff.capMilliseconds, backoff.firstMilliseconds * 2 ** attempt);
    return (error.retryAfterMilliseconds ?? 0) + this.#options.random() * ceiling;
  }
}

/** Taken apart once: a URL makes its parts anew whenever they are asked for. */
interface Server {
  readonly secure: boolean;
  readonly hostname: string;
  readonly port: string;
  /** Of every path; without a slash at its end. */
  readonly prefix: string;
}

function serverAt({ protocol, hostname, port, pathname }: URL): Server {
  return {
    secure: protocol === 'https:',
    hostname: hostname.replace(/^\[(.*)\]$/, '$1'),
    port,
    prefix: pathname.replace(/\/$/, ''),
  };
}

function pathOf({ prefix }: Server, request: KubeRequest): string {
  const path = `${prefix}${request.path}`;
  if (request.query === undefined) return path;
  const query = Object.entries(request.query).map(
    ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`,
  );
  return `${path}?${query.join('&')}`;
}

interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly maySend: () => boolean;
  readonly agent: http.Agent;
  readonly headers: http.OutgoingHttpHeaders;
  readonly body: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly idleMilliseconds: number;
}

function exchange(server: Server, options: Exchange): Promise<Outcome<http.IncomingMessage>> {
  const { method, path, maySend, agent, headers, body, signal, idleMilliseconds } = options;
  const { secure, hostname, port } = server;
  const transport = secure ? https : http;
  const abort = signal === undefined ? {} : { signal };
  return new Promise((resolve) => {
    const request = transport.request({ hostname, port, path, method, agent, headers, ...abort }, (response) => {
      response.on('error', () => {}); // told again to whoever reads the body
      resolve(succeeded(response));
    });
    request.on('socket', (socket) => {
      whenOpen(socket, secure, () => {
        if (maySend()) request.end(body);
        else request.destroy(new FencedError());
      });
    });
    request.setTimeout(idleMilliseconds, () => request.destroy(new Error(`nothing for ${idleMilliseconds / 1000} s`)));
    request.on('error', (error) => resolve(failed(errorOf(error, signal))));
  });
}

/** Connections whose handshake is over: TLS sockets do not tell. */
const opened = new WeakSet<Socket>();

/** A connection may take its time: what was allowed before it was open need not be allowed after. */
function whenOpen(socket: Socket, secure: boolean, send: () => void): void {
  if (opened.has(socket)) {
    send();
    return;
  }
  socket.setKeepAlive(true, 30_000);
  socket.once(secure ? 'secureConnect' : 'connect', () => {
    opened.add(socket);
    send();
  });
}

class FencedError extends Error {
  constructor() {
    super('another replica may be leading: nothing is written');
  }
}

function errorOf(error: Error, signal: AbortSignal | undefined): ApiError {
  if (error instanceof FencedError) return connectionError('Fenced', error.message);
  return connectionError(signal?.aborted === true ? 'Aborted' : 'ConnectionFailed', error.message);
}

function skip(response: http.IncomingMessage): Outcome<undefined> {
  response.resume();
  return succeeded(undefined);
}

async function readJson(response: http.IncomingMessage): Promise<Outcome<unknown>> {
  const body = await readBody(response);
  if (!body.ok) return body;
  try {
    return succeeded(JSON.parse(body.value.toString('utf8')));
  } catch (error) {
    return failed(connectionError('MalformedResponse', messageOf(error)));
  }
}

function readBody(response: http.IncomingMessage): Promise<Outcome<Buffer>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return new Promise((resolve) => {
    const broken = (message: string) => resolve(failed(connectionError('MalformedResponse', message)));
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes <= responseBytesMaximum) return;
      broken('the answer is too large');
      response.destroy();
    });
    response.on('end', () => resolve(succeeded(Buffer.concat(chunks))));
    response.on('error', (error) => broken(error.message));
    response.on('close', () => broken('the answer broke off'));
  });
}

async function* linesOf(response: http.IncomingMessage): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8');
  let rest = '';
  for await (const chunk of response) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) if (line !== '') yield line;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
