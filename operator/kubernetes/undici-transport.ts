// The transport of the product: connections of undici, which the caller has bounded.
import type { Dispatcher } from 'undici';
import { beginningOfBody } from '../../runtime/beginning-of-body.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { linesOfBody } from '../../runtime/lines-of-body.ts';
import { connectionError, failed, type Outcome, succeeded } from './api-error.ts';
import { exchange } from './exchange.ts';
import type { Answer, ApiTransport, Exchange, Message, OpenedAnswer } from './transport.ts';

export interface Pools {
  /** Separate pools for requests and watches, so that watches cannot use up the connections of requests. */
  readonly requests: Dispatcher;
  readonly watches: Dispatcher;
}

export class UndiciTransport implements ApiTransport {
  readonly #origin: string;
  readonly #pools: Pools;

  constructor(origin: string, pools: Pools) {
    this.#origin = origin;
    this.#pools = pools;
  }

  exchange(request: Exchange): Promise<Outcome<Answer>> {
    return exchange(this.#pools.requests, this.#origin, request);
  }

  async open({ method, path, headers, body, signal, idleMilliseconds }: Message): Promise<Outcome<OpenedAnswer>> {
    const timeouts = { headersTimeout: idleMilliseconds, bodyTimeout: idleMilliseconds };
    try {
      const opened = await this.#pools.watches.request({
        origin: this.#origin,
        method,
        path,
        headers,
        body,
        ...timeouts,
        ...(signal === undefined ? {} : { signal }),
      });
      const answer = { status: opened.statusCode, retryAfter: opened.headers['retry-after']?.toString() };
      if (answer.status === 200) return succeeded({ ...answer, text: '', lines: linesOfBody(opened.body, lineChars) });
      return succeeded({ ...answer, text: await beginningOfBody(opened.body, refusalBytes) });
    } catch (error) {
      return failed(connectionError(signal?.aborted === true ? 'Aborted' : 'ConnectionFailed', messageOf(error)));
    }
  }
}

/** More than any object: etcd stores at most a few MiB of one. */
const lineChars = 16 << 20;
/** Of a refusal. What is cut there cannot be parsed, which refuses as well. */
const refusalBytes = 1 << 20;
