// A client of the API server: HTTP/1.1 over bounded pools, with authentication, a User-Agent for audit logs and
// priority levels, a time-out for each request, and retries of reads.
import { type Clock, delay, type Random } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { type ApiError, apiErrorFromStatus, connectionError, failed, type Outcome, succeeded } from './api-error.ts';
import type { ClusterAccess, Credentials } from './cluster-access.ts';
import type { Answer, Message } from './transport.ts';

export interface KubeRequest {
  readonly method: Message['method'];
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean>>;
  readonly body?: object;
  readonly contentType?: 'application/json' | 'application/merge-patch+json' | 'application/apply-patch+yaml';
  /** The requested content type; JSON by default. */
  readonly accept?: 'application/json' | 'application/jwk-set+json';
  readonly signal?: AbortSignal;
  /** The content of a successful answer is not needed. */
  readonly ignoreAnswer?: boolean;
  /** Gives up when nothing arrives for this long. */
  readonly idleMilliseconds?: number;
}

export interface KubeHttpOptions {
  readonly access: ClusterAccess;
  readonly clock: Clock;
  readonly random: Random;
  readonly version: string;
  /** Identifies the replica in audit logs. */
  readonly replica?: string;
  /** Called once for each answer or failure, for metrics. */
  readonly onResult?: (method: string, code: number) => void;
  /** Asked right before anything other than a read is sent. */
  readonly mayWrite?: () => boolean;
}

const idleMillisecondsDefault = 30_000;
const readAttempts = 5;
const backoff = { firstMilliseconds: 200, capMilliseconds: 10_000 } as const;

export class KubeHttp {
  readonly #options: KubeHttpOptions;
  /** Prefix of every path, without a trailing slash. */
  readonly #prefix: string;
  readonly #userAgent: string;

  constructor(options: KubeHttpOptions) {
    const { access, version, replica } = options;
    this.#options = options;
    this.#prefix = access.server.pathname.replace(/\/$/, '');
    this.#userAgent = `lcow-operator/${version}${replica === undefined ? '' : ` (${replica})`}`;
  }

  /**
   * The JSON of a successful answer. Reads are repeated. Writes never are, because their caller computes them again.
   */
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

  /** The lines of an answer that continues until the server or `signal` ends it. */
  async lines(request: KubeRequest): Promise<Outcome<AsyncIterable<string>>> {
    const opened = await this.#authenticated((credentials) =>
      credentials.transport.open(this.#message(request, credentials)),
    );
    if (!opened.ok) return opened;
    return opened.value.lines === undefined ? failed(errorOf(opened.value)) : succeeded(opened.value.lines);
  }

  async #once(request: KubeRequest): Promise<Outcome<unknown>> {
    const { mayWrite = always } = this.#options;
    const maySend = request.method === 'GET' ? always : mayWrite;
    const answered = await this.#authenticated((credentials) =>
      credentials.transport.exchange({ ...this.#message(request, credentials), maySend }),
    );
    this.#options.onResult?.(request.method, answered.ok ? answered.value.status : 0);
    if (!answered.ok) return answered;
    const { status, text } = answered.value;
    if (status < 200 || status > 299) return failed(errorOf(answered.value));
    return request.ignoreAnswer === true ? succeeded(undefined) : parseJson(text);
  }

  /** Repeats a request with fresh credentials when the current ones are refused. */
  async #authenticated<T extends Answer>(
    send: (credentials: Credentials) => Promise<Outcome<T>>,
    fresh = false,
  ): Promise<Outcome<T>> {
    let credentials: Credentials;
    try {
      credentials = await this.#options.access.credentials(fresh);
    } catch (error) {
      return failed(connectionError('ConnectionFailed', `credentials could not be read: ${messageOf(error)}`));
    }
    const answered = await send(credentials);
    const refused = answered.ok && answered.value.status === 401;
    return refused && !fresh ? this.#authenticated(send, true) : answered;
  }

  #message(request: KubeRequest, { headers }: Credentials): Message {
    const body = request.body === undefined ? null : JSON.stringify(request.body);
    return {
      method: request.method,
      path: `${this.#prefix}${request.path}${queryOf(request)}`,
      headers: {
        ...headers,
        accept: request.accept ?? 'application/json',
        'user-agent': this.#userAgent,
        ...(body === null ? {} : { 'content-type': request.contentType ?? 'application/json' }),
      },
      body,
      signal: request.signal,
      idleMilliseconds: request.idleMilliseconds ?? idleMillisecondsDefault,
    };
  }

  #pause(attempt: number, error: ApiError): number {
    const ceiling = Math.min(backoff.capMilliseconds, backoff.firstMilliseconds * 2 ** attempt);
    return (error.retryAfterMilliseconds ?? 0) + this.#options.random() * ceiling;
  }
}

const always = () => true;

function queryOf({ query }: KubeRequest): string {
  if (query === undefined) return '';
  const pairs = Object.entries(query).map(
    ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`,
  );
  return `?${pairs.join('&')}`;
}

function errorOf({ status, text, retryAfter }: Answer): ApiError {
  const body = parseJson(text);
  return apiErrorFromStatus(status, body.ok ? body.value : {}, retryAfter);
}

function parseJson(text: string): Outcome<unknown> {
  try {
    return succeeded(JSON.parse(text));
  } catch (error) {
    return failed(connectionError('MalformedResponse', messageOf(error)));
  }
}
